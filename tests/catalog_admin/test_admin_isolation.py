"""Charlie's rows, asked for on Alice's host, are answered as rows that do not exist."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.catalog_admin.pages import DEEDS, MODELS, below, of


class Nobody:
    pk = uuid4()


def _answer(response: Any, row: Any) -> tuple:
    """What tells two answers apart, the id itself taken out."""
    place = response.get("Location", "").replace(str(row.pk), "ID")
    return response.status_code, place


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("path", ["change/", "delete/", "history/"])
def test_pages_of_rows(
    client_for: Any, alice_tenant: Any, alice: Any, ours: Any, theirs: Any, model: str, path: str
) -> None:
    client = client_for(alice_tenant, alice)
    row = getattr(theirs, model)
    answers = [
        (client.get(below(model, it, path)), client.post(below(model, it, path), {}), it)
        for it in (row, Nobody)
    ]
    (got, posted, _), (got_nobody, posted_nobody, _) = answers
    assert _answer(got, row) == _answer(got_nobody, Nobody)
    assert _answer(posted, row) == _answer(posted_nobody, Nobody)
    assert got.status_code in (302, 403, 404)


@pytest.mark.parametrize(("model", "path", "body"), DEEDS)
def test_deeds(
    client_for: Any, alice_tenant: Any, alice: Any, theirs: Any, model: str, path: str, body: dict
) -> None:
    client = client_for(alice_tenant, alice)
    url = below(model, getattr(theirs, model), path)
    assert client.get(url).status_code == 404
    assert client.post(url, body).status_code == 404


def test_versions_of_prompts(
    client_for: Any, alice_tenant: Any, alice: Any, ours: Any, theirs: Any
) -> None:
    client = client_for(alice_tenant, alice)
    assert client.get(below("prompt", theirs.prompt, "versions/1/")).status_code == 404
    assert client.get(below("prompt", ours.prompt, "versions/1/")).status_code == 200
    assert client.get(below("prompt", ours.prompt, "versions/7/")).status_code == 404


def test_a_form_cannot_refer_to_anothers_rows(
    client_for: Any, alice_tenant: Any, alice: Any, ours: Any, theirs: Any
) -> None:
    client = client_for(alice_tenant, alice)
    page = client.post(of("apikey", "add"), {"application": str(theirs.application.pk)})
    assert page.status_code == 200
    assert set(page.context["adminform"].form.errors) == {"application"}
    body = {
        "application": str(theirs.application.pk),
        "api": str(theirs.api.pk),
        "plan": str(theirs.plan.pk),
    }
    page = client.post(of("subscription", "add"), body)
    assert set(page.context["adminform"].form.errors) == {"application", "api", "plan"}


def test_lists_search_and_choices_show_our_rows_only(
    client_for: Any, alice_tenant: Any, alice: Any, ours: Any, theirs: Any
) -> None:
    client = client_for(alice_tenant, alice)
    for model in MODELS:
        assert str(getattr(theirs, model).pk) not in client.get(of(model)).content.decode()
    choices = client.get(
        "/admin/autocomplete/?app_label=catalog&model_name=apikey&field_name=application"
    ).json()["results"]
    assert [choice["id"] for choice in choices] == [str(ours.application.pk)]


def test_bulk_actions_do_not_reach_anothers_rows(
    client_for: Any, alice_tenant: Any, charlie_tenant: Any, alice: Any, ours: Any, theirs: Any
) -> None:
    client = client_for(alice_tenant, alice)
    body = {
        "action": "approve_selected",
        "_selected_action": [str(theirs.subscription.pk)],
        "decided": "yes",
        "reason": "",
    }
    client.post(of("subscription"), body)
    with charlie_tenant:
        theirs.subscription.refresh_from_db()
    assert theirs.subscription.status == "pending"
