"""/api/library/: who may search and add, what is refused, and that tenants never meet."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection

from catalog.models import AIModel, Api, Deployment, PriceChange, Provider
from catalog.services import ai, apis
from catalog.services import library as service

FAST = "openai/gpt-4o-mini"


@pytest.fixture
def openai(in_alice):
    return ai.save_provider(provider=Provider(name="OpenAI", preset="openai"))


@pytest.fixture
def offered(in_alice):
    return apis.publish_api(api=Api(name="Models", kind="ai"))


@pytest.fixture
def call(api_client, in_alice, alice):
    client = api_client(in_alice, alice)

    def ask(method, path, body=None, status=200, **query):
        given = query if method == "get" else body
        response = getattr(client, method)(
            path, given, **({} if method == "get" else {"format": "json"})
        )
        in_alice.activate()
        assert response.status_code == status, response.content
        return response.json()

    return ask


def test_search_filters_and_pages(call, openai):
    page = call("get", "/api/library/", search="gpt 4o mini", vendor="openai")
    (entry,) = [one for one in page["results"] if one["key"] == FAST]
    assert entry["prices"][-1]["input_price"] == "0.150000"
    assert entry["price_known"] is True
    assert entry["added"] == []
    first = call("get", "/api/library/", page_size=10, ordering="-context")
    second = call("get", "/api/library/", page_size=10, ordering="-context", page=2)
    assert len(first["results"]) == len(second["results"]) == 10
    assert first["count"] >= 2330
    windows = [one["context_tokens"] for one in first["results"] + second["results"]]
    assert windows == sorted(windows, reverse=True)
    call("get", "/api/library/", page=100000, status=404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"vendor": "nobody"}, "vendor"),
        ({"ability": "flying"}, "ability"),
        ({"ordering": "colour"}, "ordering"),
        ({"search": "x" * 201}, "search"),
        ({"search": "a\x00b"}, "search"),
    ],
)
def test_a_query_that_means_nothing_is_refused_by_field(call, query, field):
    problem = call("get", "/api/library/", status=400, **query)
    assert problem["code"] == "invalid"
    assert list(problem["errors"]) == [field]


def test_adding_makes_the_model_at_the_only_provider(call, openai, offered):
    made = call("post", "/api/library/", {"key": FAST}, 201)
    assert made["name"] == "gpt-4o-mini"
    assert made["apis"] == [str(offered.pk)]
    (deployment,) = made["deployments"]
    assert deployment["input_price"] == "0.150000"
    assert deployment["provider"] == str(openai.pk)
    page = call("get", "/api/library/", search="gpt-4o-mini", vendor="openai")
    (entry,) = [one for one in page["results"] if one["key"] == FAST]
    assert [one["model"] for one in entry["added"]] == ["gpt-4o-mini"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"key": "openai/none"}, "library_unknown"),
        ({"key": ["openai/gpt-4o"]}, "invalid"),
        ({"key": FAST, "provider": "not-an-id"}, "invalid"),
        ({"key": FAST, "provider": "00000000-0000-0000-0000-000000000000"}, "invalid"),
        ({"key": FAST, "name": "with spaces"}, "invalid"),
        ({"key": FAST, "name": "x" * 121}, "invalid"),
        ({"key": FAST, "join": "perhaps"}, "invalid"),
        ({"key": FAST, "apis": ["00000000-0000-0000-0000-000000000000"]}, "invalid"),
        ({"key": "groq/llama-3.1-8b-instant"}, "provider_missing"),
    ],
)
def test_what_cannot_be_added_is_refused(call, openai, offered, body, code):
    assert call("post", "/api/library/", body, 400)["code"] == code
    assert AIModel.objects.count() == 0


def test_which_of_two_providers_must_be_said(call, openai, offered):
    other = ai.save_provider(provider=Provider(name="OpenAI 2", preset="openai"))
    assert call("post", "/api/library/", {"key": FAST}, 400)["code"] == "provider_ambiguous"
    made = call("post", "/api/library/", {"key": FAST, "provider": str(other.pk)}, 201)
    assert made["deployments"][0]["provider"] == str(other.pk)
    assert (
        call("post", "/api/library/", {"key": FAST, "provider": str(openai.pk)}, 400)["code"]
        == "name_taken"
    )
    body = {"key": FAST, "provider": str(openai.pk), "join": True, "apis": []}
    assert len(call("post", "/api/library/", body, 201)["deployments"]) == 2


def test_prices_are_updated_by_who_agrees_to_them(call, openai, offered):
    row = service.add(entry=service.entry_of(FAST), provider=openai)
    assert call("get", "/api/library/updates/") == []
    Deployment.objects.filter(pk=row.pk).update(input_price=Decimal("99.5"))
    (update,) = call("get", "/api/library/updates/")
    assert (update["old"]["input_price"], update["new"]["input_price"]) == ("99.500000", "0.150000")
    assert PriceChange.objects.count() == 0
    wrong = {"changes": [{"deployment": str(row.pk), "digest": "0"}]}
    assert call("post", "/api/library/updates/", wrong, 400)["code"] == "prices_changed"
    for body in ({}, {"changes": []}, {"changes": [{"deployment": "x", "digest": "y"}]}):
        assert call("post", "/api/library/updates/", body, 400)["code"] == "invalid"
    agreed = {"changes": [{"deployment": update["deployment"], "digest": update["digest"]}]}
    assert len(call("post", "/api/library/updates/", agreed)) == 1
    assert PriceChange.objects.get().input_price == Decimal("0.15")
    assert call("get", "/api/library/updates/") == []


def test_a_viewer_searches_and_changes_nothing(api_client, in_alice, member, openai, offered):
    viewer = api_client(in_alice, member(in_alice, "viewer"))
    assert viewer.get("/api/library/").status_code == 200
    assert viewer.get("/api/library/updates/").status_code == 200
    for path, body in (("", {"key": FAST}), ("updates/", {"changes": []})):
        assert viewer.post(f"/api/library/{path}", body, format="json").status_code == 403
    assert api_client(in_alice).get("/api/library/").status_code == 401


def test_tenants_do_not_see_what_the_other_has_added(
    api_client, charlie_tenant, charlie, in_alice, openai, offered
):
    row = service.add(entry=service.entry_of(FAST), provider=openai)
    Deployment.objects.filter(pk=row.pk).update(input_price=Decimal("99.5"))
    (update,) = service.updates()
    client = api_client(charlie_tenant, charlie)
    page = client.get("/api/library/", {"search": "gpt-4o-mini", "vendor": "openai"}).json()
    assert all(one["added"] == [] for one in page["results"])
    assert client.get("/api/library/updates/").json() == []
    body = {"changes": [{"deployment": str(row.pk), "digest": update.digest}]}
    assert client.post("/api/library/updates/", body, format="json").status_code == 400
    body = {"key": FAST, "provider": str(openai.pk)}
    refused = client.post("/api/library/", body, format="json")
    assert list(refused.json()["errors"]) == ["provider"]
    connection.set_tenant(in_alice)
    assert PriceChange.objects.count() == 0


def test_a_tier_without_models_adds_none(call, openai, offered, tier):
    tier.ai_gateway = False
    tier.save()
    assert call("post", "/api/library/", {"key": FAST}, 400)["code"] == "tier_feature"
