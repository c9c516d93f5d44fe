"""The cost of a page does not grow with the rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.admin.paging import CappedPaginator
from catalog.models import (
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    Limit,
    Plan,
    Prompt,
    PromptVersion,
    Provider,
    Publication,
    Subscription,
    SubscriptionEvent,
    Target,
    Upstream,
)
from contract import keys
from tests.catalog_admin.pages import MODELS, of

MOST = 16
"""Queries of a list: session, user, membership, counts, and one for each related table."""

LIMITS = 26
"""Of the list of limits, where the snapshot in force must be made anew: here, in no other list."""

HOME = 90
"""Of the home: its own, and for usage those of the sessions that it is read in."""


def _more(ours: Any, number: int) -> None:
    """``number`` further rows of everything that lists show."""
    for n in range(number):
        upstream = Upstream.objects.create(name=f"Upstream {n}")
        Target.objects.create(upstream=upstream, url=f"https://u{n}.example")
        api = Api.objects.create(
            name=f"API {n}", listen_path=f"/a{n}", upstream=upstream, state="published"
        )
        application = Application.objects.create(name=f"Application {n}")
        ApiKey.objects.create(application=application, prefix="hub_", digest=keys.digest(f"k{n}"))
        plan = Plan.objects.create(name=f"Plan {n}")
        Limit.objects.create(plan=plan, amount=n + 1, window="minute", per="subscription")
        subscription = Subscription.objects.create(application=application, api=api, plan=plan)
        SubscriptionEvent.objects.create(subscription=subscription, action="request")
        provider = Provider.objects.create(name=f"Provider {n}", base_url="https://p.example/v1")
        model = AIModel.objects.create(name=f"model-{n}", abilities=["chat"])
        model.apis.add(ours.models)
        Deployment.objects.create(model=model, provider=provider, provider_model="m")
        own = Api.objects.create(name=f"Prompt {n}", kind="prompt", listen_path=f"/p{n}")
        prompt = Prompt.objects.create(name=f"Prompt {n}", api=own)
        version = PromptVersion.objects.create(prompt=prompt, number=1, model=model)
        Prompt.objects.filter(pk=prompt.pk).update(published_version=version)
        Publication.objects.create(version=n + 1, status="published")


@pytest.mark.parametrize("model", [*MODELS, None])
def test_a_list_takes_the_same_queries_for_few_and_for_many_rows(
    client_for: Any, alice_tenant: Any, alice: Any, ours: Any, model: str | None
) -> None:
    client = client_for(alice_tenant, alice)
    url = of(model) if model else "/admin/"

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(url).status_code == 200
        return len([q for q in captured if not q["sql"].startswith("SET search_path")])

    queries()
    few = queries()
    with alice_tenant:
        _more(ours, 12)
    assert queries() == few
    assert few <= {None: HOME, "limit": LIMITS}.get(model, MOST)


def test_counting_stops_at_the_cap(alice_tenant: Any, in_alice: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(CappedPaginator, "CAP", 5)
    with in_alice:
        Application.objects.bulk_create([Application(name=f"App {n}") for n in range(8)])
        pages = CappedPaginator(Application.objects.order_by("name"), 2)
        with CaptureQueriesContext(connection) as captured:
            assert (pages.count, pages.num_pages, pages.capped) == (5, 3, True)
        assert "LIMIT 5" in captured[-1]["sql"]


def test_a_list_beyond_the_cap_says_so(
    client_for: Any, alice_tenant: Any, alice: Any, ours: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(CappedPaginator, "CAP", 5)
    with alice_tenant:
        Application.objects.bulk_create([Application(name=f"App {n}") for n in range(8)])
    page = client_for(alice_tenant, alice).get(of("application"))
    assert "More than 5 applications" in page.content.decode()
