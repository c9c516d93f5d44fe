"""Prompts and their versions."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from catalog.models import Api, Prompt, PromptVersion
from catalog.services import ai, prompts


def add(prompt, model, **changes):
    given = {
        "messages": [{"role": "user", "template": "{{ text }}"}],
        "variables": [{"name": "text"}],
        "parameters": {},
    }
    return prompts.add_version(prompt=prompt, model=model, **(given | changes))


def test_a_prompt_answers_once_a_version_is_published(model):
    prompt = prompts.create_prompt(name="Mood", listen_path="/mood")
    assert (prompt.api.kind, prompt.api.state) == ("prompt", "draft")
    version = add(prompt, model)
    prompt = prompts.publish_version(version=version)
    assert prompt.published_version == version
    assert prompt.api.state == "published"


def test_versions_are_numbered_in_order_and_filled_in(prompt, model):
    version = add(prompt, model, variables=[{"name": "text", "required": False}])
    assert version.number == 2
    assert version.variables == [
        {"name": "text", "required": False, "default": "", "max_length": 20_000}
    ]
    prompt.refresh_from_db()
    assert prompt.published_version.number == 1


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"messages": []}, "messages", "Give 1 to 100 messages"),
        ({"messages": [{"role": "user"}]}, "messages", "Message 1: it needs a role"),
        ({"messages": [{"role": "boss", "template": "x"}]}, "messages", "the role must be one of"),
        ({"messages": [{"role": "user", "template": " "}]}, "messages", "the template must be"),
        (
            {"messages": [{"role": "user", "template": "a\n {{ b"}]},
            "messages",
            "Message 1: Line 2, column 2",
        ),
        ({"variables": []}, "messages", "{{ text }} is not among the variables"),
        ({"variables": [{"name": "text"}, {"name": "more"}]}, "variables", "more is not used"),
        ({"variables": [{"name": "text"}, {"name": "text"}]}, "variables", "A name stands twice"),
        ({"variables": [{"name": "1st"}]}, "variables", "Variable 1: its name"),
        ({"variables": [{"name": "text", "default": "x"}]}, "variables", "no use for a default"),
        ({"variables": [{"name": "text", "max_length": 0}]}, "variables", "max_length is a number"),
        ({"variables": [{"name": "text", "max_length": True}]}, "variables", "max_length is a num"),
        (
            {"variables": [{"name": "text", "required": False, "default": "xx", "max_length": 1}]},
            "variables",
            "longer than max_length",
        ),
        ({"parameters": {"model": "x"}}, "parameters", "model cannot be set here"),
        ({"parameters": []}, "parameters", "Give an object"),
    ],
)
def test_what_a_version_cannot_be(prompt, model, changes, field, text):
    with pytest.raises(ValidationError) as caught:
        add(prompt, model, **changes)
    assert text in caught.value.message_dict[field][0]
    assert PromptVersion.objects.count() == 1


def test_a_model_that_cannot_chat_answers_no_prompt(prompt, model):
    model.abilities = ["embeddings"]
    ai.save_model(model=model)
    with pytest.raises(ValidationError) as caught:
        add(prompt, model)
    assert "cannot chat" in caught.value.message_dict["model"][0]


def test_a_new_name_and_path_go_to_the_prompts_api(prompt):
    prompt.name = "Feeling"
    prompt.api.listen_path = "/feeling"
    prompts.save_prompt(prompt=prompt)
    api = Api.objects.get(kind="prompt")
    assert (api.name, api.listen_path, api.state) == ("Feeling", "/feeling", "published")


def test_deleting_a_prompt_takes_its_api_along(prompt):
    prompts.delete_prompt(prompt=prompt)
    assert not Prompt.objects.exists()
    assert not PromptVersion.objects.exists()
    assert not Api.objects.filter(kind="prompt").exists()
