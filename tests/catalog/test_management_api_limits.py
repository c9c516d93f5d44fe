"""Limits through the management API."""

from __future__ import annotations

import pytest


def test_a_limit_from_first_to_last(call, program, application, plan):
    body = {"application": str(application.pk), "measure": "cost", "amount": "12.50"}
    body |= {"currency": "EUR", "window": "calendar_month"}
    made = call("post", "/api/limits/", body, 201)
    assert {name: made[name] for name in body} == body | {"amount": "12.5"}
    assert (made["per"], made["mode"], made["plan"]) == ("all", "exact", None)
    path = f"/api/limits/{made['id']}/"
    assert call("patch", path, {"amount": "0.000001"})["amount"] == "0.000001"
    whole = call("post", "/api/limits/", {"measure": "concurrency", "amount": "5"}, 201)

    def found(query):
        return [row["id"] for row in call("get", f"/api/limits/?{query}")["results"]]

    assert found(f"application={application.pk}") == [made["id"]]
    assert found("tenant=true") == [whole["id"]]
    assert set(found(f"plan={plan.pk}")) == {str(row.pk) for row in plan.limits.all()}
    assert found("measure=cost&window=calendar_month") == [made["id"]]
    assert len(found("ordering=-amount&page_size=3")) == 3
    call("delete", path, status=204)
    assert found("measure=cost") == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"amount"}),
        ({"amount": "ten"}, {"amount"}),
        ({"amount": "1e30"}, {"amount"}),
        ({"amount": "NaN", "window": "hour"}, {"amount"}),
        ({"amount": 10}, {"window"}),
        ({"amount": 10, "window": 60}, {"window"}),
        ({"amount": 10, "window": "hour", "measure": "cost"}, {"currency"}),
        ({"amount": 10, "window": "hour", "measure": "concurrency"}, {"window"}),
        ({"amount": 10, "measure": "concurrency", "mode": "leased"}, {"mode"}),
        ({"amount": "0.5", "window": "hour"}, {"amount"}),
        ({"amount": 10, "window": "hour", "per": "subscription"}, {"per"}),
        ({"amount": 10, "window": "hour", "plan": "x"}, {"plan"}),
        ({"amount": 10, "window": "hour", "then": "cheaper"}, {"then"}),
        ({"amount": 10, "window": "hour", "fallback": "x"}, {"fallback"}),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_field(call, application, body, fields):
    problem = call("post", "/api/limits/", body, 400)
    assert set(problem["errors"]) == fields


def test_a_limit_of_a_kind_that_there_is_already(call, application):
    body = {"application": str(application.pk), "amount": 10, "window": "hour"}
    call("post", "/api/limits/", body, 201)
    assert "already" in call("post", "/api/limits/", body | {"amount": 20}, 400)["detail"]
