"""The management API's lists: pages, filters, and what they cost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from resources import RESOURCES

from catalog.models import (
    AIModel,
    Api,
    Application,
    Deployment,
    Limit,
    Plan,
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
    Upstream,
)
from catalog.services import access, ai


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


@pytest.mark.parametrize("name", [*RESOURCES, "versions"])
def test_a_list_takes_the_same_queries_however_long_it_is(
    name, program, catalogue, committed, alice
):
    with committed():
        ai.set_credential(provider=catalogue.provider, secret="sk-live-0123456789abcdef")
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
    with CaptureQueriesContext(connection) as captured:
        assert program.get(path).status_code == 200
    return len(captured)


def grow(number, catalogue, actor):
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
