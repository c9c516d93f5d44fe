"""Prompts: made with their first version, changed by new versions only."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.models import Prompt, PromptVersion
from tests.catalog_admin.pages import below, of


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, bob: Any) -> Any:
    return client_for(alice_tenant, bob)


def version_form(ours: Any, **fields: Any) -> dict[str, Any]:
    return {
        "model": str(ours.aimodel.pk),
        "messages-0-role": "system",
        "messages-0-template": "Translate to {{ language }}.",
        "messages-4-role": "user",
        "messages-4-template": "{{ text }}",
        "variables-0-name": "text",
        "variables-0-required": "on",
        "variables-0-default": "",
        "variables-0-max_length": "500",
        "variables-2-name": "language",
        "variables-2-default": "English",
        "variables-2-max_length": "",
        "parameters": '{"temperature": 0}',
        "notes": "",
    } | fields


def prompt_form(ours: Any, **fields: Any) -> dict[str, Any]:
    own = {"name": "Translate", "listen_path": "/prompts/translate"}
    return version_form(ours, **(own | fields))


def test_a_prompt_is_made_and_published(client: Any, ours: Any, in_alice: Any, bob: Any) -> None:
    page = client.post(of("prompt", "add"), prompt_form(ours, publish="on"))
    assert page.status_code == 302, page.context["adminform"].form.errors
    with in_alice:
        prompt = Prompt.objects.get(name="Translate")
        version = prompt.published_version
        assert (prompt.api.state, prompt.api.listen_path) == ("published", "/prompts/translate")
        assert (version.number, version.created_by) == (1, bob)
        assert [message["role"] for message in version.messages] == ["system", "user"]
        assert version.variables == [
            {"name": "text", "required": True, "default": "", "max_length": 500},
            {"name": "language", "required": False, "default": "English", "max_length": 20_000},
        ]
        assert version.parameters == {"temperature": 0}
    text = client.get(below("prompt", prompt, "change/")).content.decode()
    assert "http://alice.localhost:8080/prompts/translate" in text
    assert "curl" in text


@pytest.mark.parametrize(
    ("field", "cell", "value", "says"),
    [
        ("messages", "messages-4-template", "{{ txt }}", "{{ txt }} is not among the variables"),
        ("messages", "messages-4-template", "{{ text }", "Message 2"),
        ("variables", "variables-0-name", "te xt", "letters, digits and underscores"),
        ("variables", "variables-0-max_length", "many", "number of characters"),
        ("parameters", "parameters", "{", "valid JSON"),
        ("parameters", "parameters", "[1]", "Enter an object"),
        ("parameters", "parameters", '{"stream": true}', "cannot be set here"),
        ("listen_path", "listen_path", "/weather", "already belongs to Weather"),
        ("name", "name", "Sentiment", "already exists"),
        ("model", "model", "", "required"),
    ],
)
def test_a_prompt_is_refused_at_the_field(
    client: Any, ours: Any, in_alice: Any, field: str, cell: str, value: str, says: str
) -> None:
    page = client.post(of("prompt", "add"), prompt_form(ours, **{cell: value}))
    assert page.status_code == 200
    assert says in str(page.context["adminform"].form.errors[field].as_data())
    with in_alice:
        assert Prompt.objects.count() == 1, "nothing is left of a refused prompt"


def test_an_unused_variable_is_told(client: Any, ours: Any) -> None:
    form = prompt_form(ours) | {"messages-0-template": "Translate."}
    page = client.post(of("prompt", "add"), form)
    told = str(page.context["adminform"].form.errors["variables"].as_data())
    assert "language is not used in any message" in told


def test_a_refused_form_keeps_its_rows(client: Any, ours: Any) -> None:
    page = client.post(of("prompt", "add"), prompt_form(ours, name="Sentiment")).content.decode()
    assert "Translate to {{ language }}." in page
    assert 'value="English"' in page


def test_a_new_version_starts_from_the_last_and_leaves_it_alone(
    client: Any, ours: Any, in_alice: Any
) -> None:
    url = below("prompt", ours.prompt, "versions/add/")
    assert "One word for: {{ text }}" in client.get(url).content.decode()
    assert client.post(url, version_form(ours, notes="Languages")).status_code == 302
    with in_alice:
        prompt = Prompt.objects.get(pk=ours.prompt.pk)
        assert prompt.versions.count() == 2
        assert prompt.published_version.number == 1
        assert prompt.published_version.messages[0]["template"] == "One word for: {{ text }}"
    shown = client.get(below("prompt", ours.prompt, "versions/2/")).content.decode()
    assert "What changed since version 1" in shown
    assert "+ {{ text }}" in shown
    client.post(below("prompt", ours.prompt, "versions/2/publish/"))
    with in_alice:
        assert Prompt.objects.get(pk=ours.prompt.pk).published_version.number == 2


def test_a_refused_version_is_told_at_the_field(client: Any, ours: Any, in_alice: Any) -> None:
    url = below("prompt", ours.prompt, "versions/add/")
    page = client.post(url, version_form(ours, **{"messages-4-template": "{{ txt }}"}))
    assert "{{ txt }} is not among the variables" in str(page.context["form"].errors["messages"])
    with in_alice:
        assert PromptVersion.objects.filter(prompt=ours.prompt).count() == 1


def test_moving_a_prompt(client: Any, ours: Any, in_alice: Any) -> None:
    url = below("prompt", ours.prompt, "change/")
    page = client.post(url, {"name": "Mood", "listen_path": "/weather", "description": ""})
    assert "already belongs to Weather" in page.content.decode()
    client.post(url, {"name": "Mood", "listen_path": "/mood", "description": "x"})
    with in_alice:
        prompt = Prompt.objects.get(pk=ours.prompt.pk)
        assert (prompt.name, prompt.api.name, prompt.api.listen_path) == ("Mood", "Mood", "/mood")


def test_text_in_a_version_is_shown_as_text(client: Any, ours: Any) -> None:
    url = below("prompt", ours.prompt, "versions/add/")
    text = "<script>alert(1)</script> {{ text }} {{ language }}"
    client.post(url, version_form(ours, **{"messages-0-template": text}))
    shown = client.get(below("prompt", ours.prompt, "versions/2/")).content.decode()
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)" in shown
