"""The compiled snapshot, compared whole, and the queries it takes."""

from __future__ import annotations

from uuid import uuid5

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog import models
from catalog.models import (
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    Provider,
    Route,
    Subscription,
    Target,
    Upstream,
)
from catalog.services import access, ai, apis, prompts
from catalog.services.limits import save_limit
from catalog.snapshot import CATCH_ALL, compile_snapshot
from catalog.snapshot_checks import problems
from contract import snapshot as contract
from contract.keys import digest
from contract.policies import BodyLimit, Limit
from contract.routing import Routing
from tenants.models import Domain, Tenant


def test_one_of_everything(catalogue, alice_tenant, tier):
    tier.max_calls_per_minute, tier.max_body_bytes = 600, 10_000
    ai.set_credential(provider=catalogue.provider, secret="sk-0123456789abcdef")
    Domain.objects.create(tenant=alice_tenant, domain="API.example.com")
    routes = {route.path: route for route in catalogue.api.routes.all()}
    targets = {target.url: target for target in catalogue.upstream.targets.all()}
    deployment = catalogue.model.deployments.get()
    got = compile_snapshot(alice_tenant, 7)
    assert problems(got) == []
    assert got == contract.TenantSnapshot(
        format=contract.FORMAT,
        tenant_id=str(alice_tenant.pk),
        slug="alice",
        version=7,
        hosts=("alice.localhost", "api.example.com"),
        suspended=None,
        private_upstreams=True,
        policies=(Limit("calls", 600, window=60, scope="tenant"), BodyLimit(10_000)),
        upstreams=(
            contract.Upstream(
                id=str(catalogue.upstream.pk),
                name="Orders",
                targets=by_id(
                    contract.Target(
                        id=str(targets["http://10.0.0.7:8080/base/"].pk),
                        scheme="http",
                        host="10.0.0.7",
                        port=8080,
                        path="/base",
                    ),
                    contract.Target(
                        id=str(targets["https://[2001:db8::1]"].pk),
                        scheme="https",
                        host="2001:db8::1",
                        port=443,
                    ),
                ),
            ),
        ),
        apis=by_id(
            contract.Api(
                id=str(catalogue.api.pk),
                name="Orders",
                kind="http",
                listen_path="/orders",
                upstream_id=str(catalogue.upstream.pk),
                routes=by_id(
                    contract.Route(
                        id=str(routes["/items/{id}"].pk),
                        path="/items/{id}",
                        methods=("GET", "PUT"),
                    ),
                    contract.Route(
                        id=str(routes["/old/{rest*}"].pk),
                        path="/old/{rest*}",
                        rewrite="/new/{rest*}",
                    ),
                ),
                policies=(BodyLimit(1000),),
            ),
            contract.Api(
                id=str(catalogue.models_api.pk), name="Models", kind="ai", listen_path="/v1"
            ),
            contract.Api(
                id=str(catalogue.prompt.api.pk),
                name="Mood",
                kind="prompt",
                listen_path="/prompts/mood",
                prompt_id=str(catalogue.prompt.pk),
            ),
        ),
        plans=(
            contract.Plan(
                id=str(catalogue.plan.pk),
                name="Free",
                policies=(Limit("calls", 5000, window=86400), Limit("calls", 60, window=60)),
            ),
        ),
        applications=(contract.Application(id=str(catalogue.application.pk), name="Shop"),),
        keys=(
            contract.ApiKey(
                id=str(catalogue.key.pk),
                digest=digest(catalogue.secret),
                application_id=str(catalogue.application.pk),
            ),
        ),
        subscriptions=(
            contract.Subscription(
                id=str(catalogue.subscription.pk),
                application_id=str(catalogue.application.pk),
                api_id=str(catalogue.api.pk),
                plan_id=str(catalogue.plan.pk),
                status="pending",
            ),
        ),
        providers=(
            contract.Provider(
                id=str(catalogue.provider.pk),
                name="Maker",
                wire_format="openai",
                base_url="https://maker.example/v1",
                preset="compatible",
                credential=bytes(catalogue.provider.credential.sealed),
            ),
        ),
        models=(
            contract.AIModel(
                id=str(catalogue.model.pk),
                name="fast",
                api_ids=(str(catalogue.models_api.pk),),
                deployments=(
                    contract.Deployment(
                        id=str(deployment.pk),
                        provider_id=str(catalogue.provider.pk),
                        model="maker-1",
                        prices=contract.Prices(input=150_000, output=1),
                    ),
                ),
                created=int(catalogue.model.created_at.timestamp()),
                abilities=("chat",),
            ),
        ),
        prompts=(
            contract.Prompt(
                id=str(catalogue.prompt.pk),
                name="Mood",
                version=1,
                version_id=str(catalogue.version.pk),
                model_id=str(catalogue.model.pk),
                messages=(contract.PromptMessage("user", "Is this friendly? {{ text }}"),),
                variables=(contract.PromptVariable("text"),),
                parameters={"temperature": 0},
            ),
        ),
    )


PATHS = ("/{a}", "/{b}")


def by_id(*rows):
    return tuple(sorted(rows, key=lambda row: row.id))


@pytest.fixture
def compiled(alice_tenant):
    def now():
        tenant = Tenant.objects.select_related("tier").get(pk=alice_tenant.pk)
        snapshot = compile_snapshot(tenant, 1)
        assert problems(snapshot) == []
        return snapshot

    return now


def test_an_api_without_routes_serves_every_path(api, compiled):
    apis.save_api(api=api, routes=[])
    route_id = str(uuid5(api.pk, CATCH_ALL))
    assert compiled().apis[0].routes == (contract.Route(id=route_id, path="/{rest*}"),)


def test_an_api_with_all_routes_switched_off_serves_none(api, compiled):
    Route.objects.update(enabled=False)
    assert compiled().apis[0].routes == ()


def test_only_published_apis_are_served(catalogue, compiled):
    for api in Api.objects.all():
        apis.retire_api(api=api)
    got = compiled()
    assert (got.apis, got.upstreams, got.subscriptions) == ((), (), ())
    assert (got.models, got.providers, got.prompts) == ((), (), ())


def test_targets_that_are_switched_off_stay_out(api, compiled):
    Target.objects.filter(url__startswith="https").update(enabled=False)
    assert [target.host for target in compiled().upstreams[0].targets] == ["10.0.0.7"]


def test_revoked_keys_and_those_of_disabled_applications_stay_out(catalogue, compiled):
    expired, _ = access.issue_key(application=catalogue.application)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    access.revoke_key(key=catalogue.key)
    assert [key.id for key in compiled().keys] == [str(expired.pk)]
    Application.objects.update(enabled=False)
    got = compiled()
    assert (got.applications, got.keys, got.subscriptions) == ((), (), ())


def test_the_latest_subscription_counts_whatever_its_status(subscription, plan, compiled, alice):
    access.reject_subscription(subscription=subscription, actor=alice)
    assert [row.status for row in compiled().subscriptions] == ["rejected"]
    again = access.request_subscription(
        application=subscription.application, api=subscription.api, plan=plan
    )
    access.approve_subscription(subscription=again, actor=alice)
    assert [(row.id, row.status) for row in compiled().subscriptions] == [
        (str(again.pk), "approved")
    ]
    access.revoke_subscription(subscription=again, actor=alice)
    assert [row.status for row in compiled().subscriptions] == ["revoked"]


def test_a_deployment_waits_for_the_credential_it_needs(model, provider, compiled):
    assert (compiled().models, compiled().providers) == ((), ())
    ai.set_credential(provider=provider, secret="sk-0123456789abcdef")
    assert len(compiled().models[0].deployments) == 1
    provider.enabled = False
    ai.save_provider(provider=provider)
    assert compiled().models == ()


def test_a_provider_without_credential_serves_where_it_needs_none(model, provider, compiled):
    provider.needs_credential = False
    ai.save_provider(provider=provider)
    assert compiled().providers[0].credential is None
    assert len(compiled().models[0].deployments) == 1


def test_a_model_switched_off_is_kept_empty_for_its_prompts(prompt, model, compiled):
    model.enabled = False
    ai.save_model(model=model)
    (got,) = compiled().models
    assert (got.id, got.api_ids, got.deployments) == (str(model.pk), (), ())
    prompts.retire_prompt(prompt=prompt)
    assert compiled().models == ()


def test_a_model_that_others_are_compared_with_is_there_though_nobody_may_call_it(
    model, provider, compiled
):
    ai.set_credential(provider=provider, secret="sk-0123456789abcdef")
    dear = AIModel.objects.create(name="dear", abilities=["chat"])
    model.on_break, model.compare_with = "continue", dear
    ai.save_model(model=model)
    found = {row.name: row for row in compiled().models}
    assert found["fast"].routing == Routing(on_break="continue", compare_with=str(dear.pk))
    assert found["dear"].api_ids == ()
    dear.enabled = False
    dear.save()
    assert {row.name: row for row in compiled().models}["fast"].routing.compare_with == ""


def test_a_budget_names_the_model_that_is_asked_when_it_is_used_up(model, provider, compiled):
    ai.set_credential(provider=provider, secret="sk-0123456789abcdef")
    small = AIModel.objects.create(name="small", abilities=["chat"])
    budget = {"measure": "cost", "currency": "USD", "window": "calendar_month", "amount": 5}
    save_limit(limit=models.Limit(**budget, then="cheaper", fallback=small))
    got = compiled()
    policy = next(one for one in got.policies if one.measure == "cost")
    assert (policy.then, policy.fallback) == ("cheaper", str(small.pk))
    assert {one.name for one in got.models} == {"fast", "small"}
    assert problems(got) == []
    without = tuple(one for one in got.models if one.name != "small")
    assert any(
        "A limit on cost of the tenant drops to a model that is not there" in problem
        for problem in problems(msgspec.structs.replace(got, models=without))
    )
    calls = Limit("calls", 5, then="cheaper", fallback=str(small.pk), scope="tenant")
    assert any(
        "which only one on cost can" in problem
        for problem in problems(msgspec.structs.replace(got, policies=(calls,)))
    )
    models.Limit.objects.update(fallback=None)  # as older tables have it
    policy = next(one for one in compiled().policies if one.measure == "cost")
    assert (policy.then, policy.fallback) == ("refuse", "")


def test_an_unknown_price_is_not_zero(model, provider, compiled):
    provider.needs_credential = False
    ai.save_provider(provider=provider)
    Deployment.objects.update(input_price=None, output_price=0)
    prices = compiled().models[0].deployments[0].prices
    assert (prices.input, prices.output) == (None, 0)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (Tenant.State.ACTIVE, None),
        (Tenant.State.SUSPENDED, "Unpaid"),
        (Tenant.State.DELETING, "This account is being closed. Ask the API's owner."),
    ],
)
def test_a_tenant_that_does_not_serve_says_why(alice_tenant, in_alice, compiled, state, text):
    Tenant.objects.filter(pk=alice_tenant.pk).update(state=state, suspended_reason="Unpaid")
    assert compiled().suspended == text


def test_the_same_tables_give_the_same_bytes(catalogue, alice_tenant):
    one, other = (contract.encode(compile_snapshot(alice_tenant, 1)) for _ in range(2))
    assert one == other


def test_nothing_of_another_tenant_is_in_it(charlie_tenant, catalogue):
    with charlie_tenant:
        got = compile_snapshot(charlie_tenant, 1)
    empty = contract.TenantSnapshot(
        format=contract.FORMAT,
        tenant_id=str(charlie_tenant.pk),
        slug="charlie",
        version=1,
        hosts=("charlie.localhost",),
        private_upstreams=True,
    )
    assert got == empty


def test_no_secret_is_in_it(catalogue, alice_tenant):
    ai.set_credential(provider=catalogue.provider, secret="sk-0123456789abcdef")
    blob = contract.encode(compile_snapshot(alice_tenant, 1))
    assert catalogue.secret.encode() not in blob
    assert b"sk-0123456789abcdef" not in blob


def queries(tenant):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        compile_snapshot(tenant, 1)
    return len([q for q in captured.captured_queries if "search_path" not in q["sql"]])


def test_fifty_apis_take_no_more_queries_than_one(catalogue, alice_tenant):
    ai.set_credential(provider=catalogue.provider, secret="sk-0123456789abcdef")
    one = queries(alice_tenant)
    for number in range(49):
        grow(number, catalogue)
    got = compile_snapshot(alice_tenant, 1)
    assert len(got.apis) == 52
    assert len(got.models) == 50
    assert (len(got.keys), len(got.subscriptions), len(got.upstreams)) == (50, 50, 50)
    assert queries(alice_tenant) == one
    assert one <= 20


def grow(number, catalogue):
    upstream = Upstream.objects.create(name=f"U{number}")
    Target.objects.create(upstream=upstream, url="http://10.0.0.1")
    api = Api.objects.create(
        name=f"A{number}", listen_path=f"/a{number}", upstream=upstream, state="published"
    )
    Route.objects.create(api=api, path="/x")
    application = Application.objects.create(name=f"App{number}")
    access.issue_key(application=application)
    Subscription.objects.create(application=application, api=api, plan=catalogue.plan)
    provider = Provider.objects.create(
        name=f"P{number}", base_url="https://p.example/v1", needs_credential=False
    )
    model = AIModel.objects.create(name=f"m{number}", abilities=["chat"])
    model.apis.add(catalogue.models_api)
    Deployment.objects.create(model=model, provider=provider, provider_model="x")


@pytest.mark.parametrize(
    ("field", "change", "text"),
    [
        ("upstreams", lambda rows: (), "The API Orders has no upstream."),
        ("prompts", lambda rows: (), "The API Mood has no prompt"),
        ("applications", lambda rows: (), "belongs to no application"),
        ("plans", lambda rows: (), "lacks its application, API or plan"),
        ("models", lambda rows: (), "The prompt Mood has no model."),
        ("providers", lambda rows: (), "of the model fast has no provider"),
        ("hosts", lambda rows: (), "no host name"),
        ("hosts", lambda rows: rows * 2, "listed twice"),
        ("keys", lambda rows: rows * 2, "Two API keys are the same."),
        ("models", lambda rows: rows * 2, "Two AI models have the name fast."),
        (
            "apis",
            lambda rows: tuple(msgspec.structs.replace(row, listen_path="/x") for row in rows),
            "have the same listen path, /x",
        ),
        (
            "apis",
            lambda rows: tuple(
                msgspec.structs.replace(
                    row,
                    routes=tuple(contract.Route(id="1", path=path) for path in ("/{a}", "/{b}")),
                )
                for row in rows
            ),
            "/{a} and /{b} of Orders answer the same calls.",
        ),
        (
            "apis",
            lambda rows: tuple(
                msgspec.structs.replace(
                    row, routes=(contract.Route(id="1", path="/a", rewrite="/{b}"),)
                )
                for row in rows
            ),
            "{b} is not in the route's path.",
        ),
        (
            "prompts",
            lambda rows: tuple(msgspec.structs.replace(row, variables=()) for row in rows),
            "uses text, which is not among its variables",
        ),
        (
            "models",
            lambda rows: tuple(
                msgspec.structs.replace(row, routing=Routing(compare_with="gone")) for row in rows
            ),
            "The model fast is compared with one that is not there.",
        ),
        (
            "prompts",
            lambda rows: tuple(
                msgspec.structs.replace(row, messages=(contract.PromptMessage("user", "{{ x"),))
                for row in rows
            ),
            "The prompt Mood: Line 1",
        ),
    ],
)
def test_every_kind_of_problem_is_found(catalogue, alice_tenant, field, change, text):
    ai.set_credential(provider=catalogue.provider, secret="sk-0123456789abcdef")
    good = compile_snapshot(alice_tenant, 1)
    bad = msgspec.structs.replace(good, **{field: change(getattr(good, field))})
    assert problems(good) == []
    assert any(text in problem for problem in problems(bad)), problems(bad)
