"""How the management API tells what is wrong with a request."""

from __future__ import annotations

from uuid import UUID

import pytest


def test_what_is_wrong_is_told_by_field(call, api):
    body = {"name": "Orders", "listen_path": "orders", "routes": [{"path": "x"}]}
    problem = call("post", "/api/apis/", body, 400)
    assert problem["code"] == "invalid"
    assert problem["type"] == "urn:hubpo:error:invalid"
    assert set(problem["errors"]) == {"name", "listen_path", "routes[0].path"}
    assert "Start the path with /" in problem["errors"]["listen_path"][0]


def test_what_the_services_refuse_is_told_by_field_too(call, api):
    problem = call("post", "/api/apis/", {"name": "Other", "listen_path": "/orders"}, 400)
    assert problem["code"] == "overlap"
    assert "already belongs to Orders" in problem["errors"]["listen_path"][0]
    assert "already belongs to Orders" in problem["detail"]
    body = {"name": "U", "targets": [{"url": "http://a.example"}, {"url": "http://a.example"}]}
    problem = call("post", "/api/upstreams/", body, 400)
    assert list(problem["errors"]) == ["targets[1]"]


def test_a_field_that_does_not_exist_elsewhere_is_named(call):
    problem = call("post", "/api/upstreams/", {"name": "U", "targets": {"url": "x"}}, 400)
    assert list(problem["errors"]) == ["targets"]


def test_a_tier_limit_is_told_with_what_to_do(call, tier, application):
    tier.max_applications = 1
    tier.save()
    problem = call("post", "/api/applications/", {"name": "Second"}, 400)
    assert problem["code"] == "tier_limit"
    assert "Delete one, or ask the platform's operator" in problem["detail"]


def test_what_others_use_cannot_be_deleted(call, api, subscription):
    problem = call("delete", f"/api/upstreams/{api.upstream_id}/", status=409)
    assert problem["code"] == "in_use"
    assert "API “Orders”" in problem["detail"]
    problem = call("delete", f"/api/plans/{subscription.plan_id}/", status=409)
    assert "subscription “Shop → Orders”" in problem["detail"]


def raw(data, content_type="application/json"):
    return {"data": data, "content_type": content_type}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("get", "/api/nothing/", {}, 404, "not_found"),
        ("post", "/api/nothing/here", {}, 404, "not_found"),
        ("get", "/api/apis/not-a-uuid/", {}, 404, "not_found"),
        ("get", f"/api/apis/{UUID(int=1)}/", {}, 404, "not_found"),
        ("delete", "/api/apis/", {}, 405, "method_not_allowed"),
        ("post", "/api/apis/", raw("<a/>", "text/xml"), 415, "unsupported_media_type"),
        ("post", "/api/apis/", raw("{"), 400, "parse_error"),
        ("post", "/api/apis/", raw("[]"), 400, "invalid"),
    ],
)
def test_requests_that_cannot_be(program, method, path, options, status, code):
    response = getattr(program, method)(path, **options)
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) >= {"type", "title", "status", "detail", "code"}
    assert problem["code"] == code
