"""The management API: what each resource takes and tells."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from catalog.models import Api, ApiKey, Application, Plan, Upstream
from catalog.services import access, ai

SECRET = "sk-live-0123456789abcdef"


@pytest.fixture
def program(alice_tenant, alice, api_client):
    """A program with a token of Alice's."""
    return api_client(alice_tenant, alice)


@pytest.fixture
def call(program, committed):
    """``call("post", "/api/apis/", {...}, 201)``: the body of an answer with that status."""

    def make(method, path, body=None, status=200):
        with committed():
            response = getattr(program, method)(path, body)
        assert response.status_code == status, response.content
        if status >= 400:
            assert response["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == status
        return response.json() if response.content else None

    return make


def test_an_upstream_from_first_to_last(call):
    made = call(
        "post",
        "/api/upstreams/",
        {"name": "Orders", "targets": [{"url": "https://a.example"}, {"url": "https://b.example"}]},
        201,
    )
    path = f"/api/upstreams/{made['id']}/"
    assert [target["url"] for target in made["targets"]] == [
        "https://a.example",
        "https://b.example",
    ]
    assert made["targets"][0]["weight"] == 1
    kept, _ = made["targets"]
    changed = call("patch", path, {"targets": [{"url": "https://a.example", "weight": 3}]})
    assert changed["targets"] == [kept | {"weight": 3}]
    assert call("patch", path, {"description": "x"})["targets"] == changed["targets"]
    call("put", path, {"description": "no name"}, 400)
    assert call("get", path)["name"] == "Orders"
    call("delete", path, status=204)
    call("get", path, status=404)


def test_an_api_is_created_as_a_draft_then_published_and_retired(call, in_alice, in_store):
    upstream = call(
        "post", "/api/upstreams/", {"name": "O", "targets": [{"url": "https://o.example"}]}, 201
    )
    body = {
        "name": "Orders",
        "listen_path": "/orders",
        "upstream": upstream["id"],
        "routes": [{"path": "/items/{id}", "methods": ["GET"]}],
    }
    made = call("post", "/api/apis/", body, 201)
    assert made["state"] == "draft"
    assert made["kind"] == "http"
    assert made["routes"][0]["path"] == "/items/{id}"
    path = f"/api/apis/{made['id']}/"
    assert call("post", f"{path}publish/")["state"] == "published"
    assert [api.name for api in in_store(in_alice).apis] == ["Orders"]
    assert call("patch", path, {"version": "2"})["routes"] == made["routes"]
    assert call("patch", path, {"routes": []})["routes"] == []
    assert call("post", f"{path}retire/")["state"] == "retired"
    assert in_store(in_alice).apis == ()


def test_an_ai_api_needs_no_path(call):
    made = call("post", "/api/apis/", {"name": "Models", "kind": "ai"}, 201)
    assert made["listen_path"] == "/v1"


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


def test_a_prompts_api_is_not_deleted_by_itself(call, prompt):
    problem = call("delete", f"/api/apis/{prompt.api_id}/", status=400)
    assert problem["code"] == "has_prompt"


def test_an_application_from_first_to_last(call):
    made = call("post", "/api/applications/", {"name": "Shop", "contact": "a@b.example"}, 201)
    path = f"/api/applications/{made['id']}/"
    assert call("patch", path, {"enabled": False})["enabled"] is False
    call("post", "/api/applications/", {"name": "Shop"}, 400)
    call("delete", path, status=204)


def test_a_key_is_told_once(call, application):
    made = call("post", "/api/keys/", {"application": str(application.pk), "name": "k"}, 201)
    path = f"/api/keys/{made['id']}/"
    assert made["key"].startswith(made["prefix"])
    assert "key" not in call("get", path)
    new = call("post", f"{path}rotate/", {"grace_seconds": 60}, 201)
    assert new["key"] != made["key"]
    assert call("get", path)["active"] is True
    assert call("post", f"{path}revoke/")["active"] is False
    assert call("post", f"{path}rotate/", status=400)["code"] == "inactive"
    active = call("get", "/api/keys/?active=true")
    assert [row["id"] for row in active["results"]] == [new["id"]]
    assert call("get", "/api/keys/?active=false")["count"] == 1
    call("put", path, {"name": "x"}, 405)
    call("delete", path, status=405)


def test_a_plan_from_first_to_last(call):
    limits = [{"amount": 60, "window": "minute"}, {"amount": "5", "window": "second"}]
    body = {"name": "Free", "limits": limits}
    made = call("post", "/api/plans/", body, 201)
    assert {(row["amount"], row["window"], row["per"]) for row in made["limits"]} == {
        ("60", "minute", "subscription"),
        ("5", "second", "subscription"),
    }
    path = f"/api/plans/{made['id']}/"
    changed = call("patch", path, {"limits": [{"amount": 70, "window": "minute"}]})
    ids = {row["window"]: row["id"] for row in made["limits"]}
    assert [(row["id"], row["amount"]) for row in changed["limits"]] == [(ids["minute"], "70")]
    problem = call("patch", path, {"limits": [{"amount": -1, "window": 7}]}, 400)
    assert set(problem["errors"]) == {"limits[0].window"}
    problem = call("patch", path, {"limits": [{"amount": 0, "window": "hour"}]}, 400)
    assert set(problem["errors"]) == {"limits[0].amount"}
    call("delete", path, status=204)


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


def test_a_subscription_is_requested_approved_and_revoked(call, application, api, plan):
    body = {"application": str(application.pk), "api": str(api.pk), "plan": str(plan.pk)}
    made = call("post", "/api/subscriptions/", body | {"reason": "To sell"}, 201)
    assert made["status"] == "pending"
    path = f"/api/subscriptions/{made['id']}/"
    assert call("post", "/api/subscriptions/", body, 400)["code"] == "open_subscription"
    assert call("post", f"{path}revoke/", status=400)["code"] == "transition"
    assert call("post", f"{path}approve/", {"reason": "Fine"})["status"] == "approved"
    told = call("post", f"{path}revoke/", {"reason": "Over"})
    assert told["status"] == "revoked"
    steps = [(row["action"], row["actor_name"], row["reason"]) for row in told["events"]]
    assert steps == [
        ("request", "alice", "To sell"),
        ("approve", "alice", "Fine"),
        ("revoke", "alice", "Over"),
    ]
    call("patch", path, {"status": "approved"}, 405)
    call("delete", path, status=405)


def test_a_subscription_is_rejected(call, subscription):
    path = f"/api/subscriptions/{subscription.pk}/"
    assert call("post", f"{path}reject/", {"reason": "No"})["status"] == "rejected"
    assert call("get", "/api/subscriptions/?status=rejected")["count"] == 1
    assert call("get", "/api/subscriptions/?status=approved")["count"] == 0


def test_a_credential_is_written_and_never_read(call):
    body = {"name": "Maker", "base_url": "https://maker.example/v1"}
    made = call("post", "/api/providers/", body, 201)
    path = f"/api/providers/{made['id']}/"
    assert made["credential"] is None
    told = call("put", f"{path}credential/", {"secret": SECRET})
    assert told["credential"]["hint"] == "cdef"
    assert SECRET not in str(told)
    call("put", f"{path}credential/", {"secret": ""}, 400)
    call("get", f"{path}credential/", status=405)
    call("delete", f"{path}credential/", status=204)
    assert call("get", path)["credential"] is None


def test_a_model_from_first_to_last(call, provider, models_api, api):
    body = {
        "name": "fast",
        "abilities": ["chat"],
        "apis": [str(models_api.pk)],
        "deployments": [
            {"provider": str(provider.pk), "provider_model": "m-1", "input_price": "0.15"}
        ],
    }
    made = call("post", "/api/models/", body, 201)
    assert made["deployments"][0]["input_price"] == "0.150000"
    assert made["deployments"][0]["output_price"] is None
    path = f"/api/models/{made['id']}/"
    assert call("patch", path, {"enabled": False})["deployments"] == made["deployments"]
    problem = call("patch", path, {"apis": [str(api.pk)]}, 400)
    assert list(problem["errors"]) == ["apis"]
    call("delete", f"/api/providers/{provider.pk}/", status=409)
    call("delete", path, status=204)


def test_a_models_routing_is_set_and_wrong_values_are_refused(call, model):
    path = f"/api/models/{model.pk}/"
    made = call("patch", path, {"on_break": "continue", "compare_with": str(model.pk)})
    assert (made["on_break"], made["compare_with"]) == ("continue", str(model.pk))
    problem = call("patch", path, {"on_break": "restart", "compare_with": str(uuid4())}, 400)
    assert sorted(problem["errors"]) == ["compare_with", "on_break"]
    assert call("patch", path, {"compare_with": None})["compare_with"] is None


def test_a_model_with_two_deployments_is_found_once(call, model, provider):
    given = {"provider": str(provider.pk), "provider_model": "maker-1"}
    deployments = [given, given | {"provider_model": "maker-2"}]
    call("patch", f"/api/models/{model.pk}/", {"deployments": deployments})
    for query in (f"provider={provider.pk}", "search=maker", f"apis={model.apis.get().pk}"):
        assert call("get", f"/api/models/?{query}")["count"] == 1
        assert len(call("get", f"/api/models/?{query}")["results"]) == 1
    assert call("get", f"/api/models/?provider={provider.pk}&name=slow")["count"] == 0


def test_a_prompt_and_its_versions(call, model, in_alice, in_store):
    made = call("post", "/api/prompts/", {"name": "Mood", "listen_path": "/mood"}, 201)
    path = f"/api/prompts/{made['id']}/"
    assert (made["state"], made["published_version"]) == ("draft", None)
    body = {
        "model": str(model.pk),
        "messages": [{"role": "user", "template": "{{ text }}\n"}],
        "variables": [{"name": "text"}],
        "parameters": {"temperature": 0.5, "stop": ["."]},
    }
    version = call("post", f"{path}versions/", body, 201)
    assert (version["number"], version["published"]) == (1, False)
    assert version["created_by"] == "alice"
    assert version["messages"] == body["messages"]
    assert version["parameters"] == body["parameters"]
    one = f"{path}versions/1/"
    assert call("post", f"{one}publish/")["published"] is True
    assert call("get", path)["published_version"] == 1
    assert in_store(in_alice).prompts[0].version == 1
    for method in ("put", "patch", "delete"):
        call(method, one, body, 405)
    problem = call("post", f"{path}versions/", body | {"variables": []}, 400)
    assert problem["code"] == "unknown_variable"
    assert "{{ text }} is not among the variables" in problem["errors"]["messages"][0]
    assert call("patch", path, {"listen_path": "/feeling"})["listen_path"] == "/feeling"
    assert call("post", f"{path}retire/")["state"] == "retired"
    call("get", f"{path}versions/2/", status=404)
    call("get", f"/api/prompts/{uuid4()}/versions/", status=404)
    call("delete", path, status=204)
    assert not Api.objects.filter(kind="prompt").exists()


def test_publications_are_read_only(call):
    call("post", "/api/applications/", {"name": "Shop"}, 201)
    (row,) = call("get", "/api/publications/")["results"]
    assert (row["version"], row["status"]) == (1, "published")
    path = f"/api/publications/{row['id']}/"
    assert call("get", path) == row
    call("delete", path, status=405)
    call("post", "/api/publications/", {}, 405)


def test_an_answer_to_a_write_tells_whether_it_is_in_effect(alice_tenant, alice, api_client):
    program = api_client(alice_tenant, alice)
    assert "Hubpo-Publication" not in program.get("/api/plans/")


@pytest.mark.django_db(transaction=True)
def test_a_write_without_the_store_succeeds_and_says_so(alice_tenant, alice, api_client, settings):
    program = api_client(alice_tenant, alice)
    response = program.post("/api/applications/", {"name": "A"})
    assert (response.status_code, response["Hubpo-Publication"]) == (201, "published")
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    response = program.post("/api/applications/", {"name": "B"})
    assert (response.status_code, response["Hubpo-Publication"]) == (201, "waiting")


def test_lists_come_in_pages(call, in_alice):
    Application.objects.bulk_create(Application(name=f"A{n:02}") for n in range(7))
    first = call("get", "/api/applications/?page_size=3")
    assert first["count"] == 7
    assert [row["name"] for row in first["results"]] == ["A00", "A01", "A02"]
    last = call("get", "/api/applications/?page_size=3&page=3")
    assert [row["name"] for row in last["results"]] == ["A06"]
    assert last["next"] is None
    assert call("get", "/api/applications/?page=9", status=404)["code"] == "not_found"
    assert len(call("get", "/api/applications/?page_size=100000")["results"]) == 7


def test_lists_are_filtered_searched_and_ordered(call, in_alice):
    Plan.objects.create(name="Free", needs_approval=False)
    Plan.objects.create(name="Pro", description="for free spirits")

    def names(query):
        return [row["name"] for row in call("get", f"/api/plans/?{query}")["results"]]

    assert names("ordering=-name") == ["Pro", "Free"]
    assert names("needs_approval=false") == ["Free"]
    assert names("search=spirits") == ["Pro"]
    assert names("name__icontains=RE") == ["Free"]


def test_a_filter_that_cannot_be_is_a_problem(call, in_alice):
    problem = call("get", "/api/apis/?kind=cobol", status=400)
    assert list(problem["errors"]) == ["kind"]
    problem = call("get", "/api/keys/?application=nobody", status=400)
    assert list(problem["errors"]) == ["application"]


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


def test_a_field_that_does_not_exist_elsewhere_is_named(call):
    problem = call("post", "/api/upstreams/", {"name": "U", "targets": {"url": "x"}}, 400)
    assert list(problem["errors"]) == ["targets"]


def test_secrets_are_told_once_and_stand_nowhere_else(
    program, catalogue, in_alice, caplog, committed
):
    """Every list, every object and every log line is searched for the secrets."""
    caplog.set_level(logging.DEBUG)
    with committed():
        issued = program.post("/api/keys/", {"application": str(catalogue.application.pk)}).json()
        path = f"/api/providers/{catalogue.provider.pk}/credential/"
        assert program.put(path, {"secret": SECRET}).status_code == 200
        bad = program.put(path, {"secret": SECRET + "\n" + SECRET})
    texts = [bad.content.decode(), caplog.text]
    for name in RESOURCES:
        listed = program.get(f"/api/{name}/")
        assert listed.status_code == 200
        texts.append(listed.content.decode())
        for row in listed.json()["results"]:
            texts.append(program.get(f"/api/{name}/{row['id']}/").content.decode())
    digest = bytes(ApiKey.objects.get(pk=issued["id"]).digest).hex()
    for secret in (issued["key"], catalogue.secret, SECRET, digest):
        assert not any(secret in text for text in texts)
    assert any(issued["prefix"] in text for text in texts)


RESOURCES = [
    "upstreams",
    "apis",
    "applications",
    "keys",
    "plans",
    "limits",
    "subscriptions",
    "providers",
    "models",
    "prices",
    "prompts",
    "publications",
]


@pytest.mark.parametrize("name", [*RESOURCES, "versions"])
def test_a_list_takes_the_same_queries_however_long_it_is(
    name, program, catalogue, committed, alice
):
    with committed():
        ai.set_credential(provider=catalogue.provider, secret=SECRET)
    prompt = catalogue.prompt
    path = f"/api/prompts/{prompt.pk}/versions/" if name == "versions" else f"/api/{name}/"
    grow(9, catalogue, alice)
    program.get(path)  # the token's first use is noted
    short = _queries(program, path)
    for number in range(5):
        grow(number, catalogue, alice)
    assert program.get(path).json()["count"] >= 6 or name == "publications"
    assert _queries(program, path) == short
    assert short <= 16


def _queries(program, path):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        assert program.get(path).status_code == 200
    return len(captured)


def grow(number, catalogue, actor):
    from catalog.models import (
        AIModel,
        Deployment,
        Limit,
        PriceChange,
        Prompt,
        PromptVersion,
        Provider,
        ProviderCredential,
        Publication,
        Route,
        RoutingRule,
        Subscription,
        SubscriptionEvent,
        Target,
    )

    upstream = Upstream.objects.create(name=f"U{number}")
    api = Api.objects.create(name=f"A{number}", listen_path=f"/a{number}", upstream=upstream)
    plan = Plan.objects.create(name=f"P{number}")
    application = Application.objects.create(name=f"App{number}")
    access.issue_key(application=application)
    subscription = Subscription.objects.create(application=application, api=api, plan=plan)
    provider = Provider.objects.create(name=f"P{number}", base_url="https://p.example/v1")
    ProviderCredential.objects.create(provider=provider, sealed=b"x", hint="abcd")
    model = AIModel.objects.create(name=f"m{number}", abilities=["chat"])
    model.apis.add(catalogue.models_api)
    prompt_api = Api.objects.create(name=f"Pr{number}", kind="prompt", listen_path=f"/p{number}")
    prompt = Prompt.objects.create(name=f"Pr{number}", api=prompt_api)
    for prompt_of, at in ((prompt, 1), (catalogue.prompt, number + 2)):
        version = PromptVersion.objects.create(
            prompt=prompt_of, number=at, model=model, created_by=actor
        )
    Prompt.objects.filter(pk=prompt.pk).update(published_version=version)
    Publication.objects.create(version=number + 1000, status="published")
    for more in range(2):
        Target.objects.create(upstream=upstream, url=f"http://10.0.0.{more}")
        Route.objects.create(api=api, path=f"/{more}")
        Limit.objects.create(plan=plan, amount=more + 1, window=("hour", "minute")[more])
        deployment = Deployment.objects.create(
            model=model, provider=provider, provider_model=f"m{more}"
        )
        rule = RoutingRule.objects.create(model=model, name=f"{more}")
        rule.deployments.add(deployment)
        since = timezone.now() + timedelta(days=more + 1)
        PriceChange.objects.create(deployment=deployment, since=since)
        SubscriptionEvent.objects.create(subscription=subscription, action="request")
