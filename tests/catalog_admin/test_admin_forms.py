"""What forms refuse, where they say so, and what they save."""

from __future__ import annotations

from typing import Any

import pytest
from django.forms.models import model_to_dict

from catalog.models import AIModel, Api, Application, Plan, Provider, Route, Upstream
from catalog.services import publishing
from tests.catalog_admin.conftest import PROVIDER_SECRET
from tests.catalog_admin.pages import below, of


@pytest.fixture
def client(client_for: Any, alice_tenant: Any, alice: Any) -> Any:
    return client_for(alice_tenant, alice)


def rows(prefix: str, *forms: dict[str, Any], initial: int = 0) -> dict[str, Any]:
    """The fields of an inline with these rows."""
    data = {f"{prefix}-TOTAL_FORMS": len(forms), f"{prefix}-INITIAL_FORMS": initial}
    for index, form in enumerate(forms):
        data |= {f"{prefix}-{index}-{name}": value for name, value in form.items()}
    return data


def posted(row: Any, **fields: Any) -> dict[str, Any]:
    """The row's form as it stands, with these fields changed."""
    given = model_to_dict(row) | fields
    return {
        name: value for name, value in given.items() if value is not None and value is not False
    }


def api_form(*routes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    form = {"name": "Orders", "kind": "http", "listen_path": "/orders", "key_header": "X-API-Key"}
    return form | {"key_required": "on"} | fields | rows("routes", *routes)


def application_form(name: str) -> dict[str, Any]:
    return {"name": name, "enabled": "on", **rows("limits")}


def errors(page: Any) -> dict[str, list[str]]:
    assert page.status_code == 200, "the form was accepted"
    return page.context["adminform"].form.errors


def row_errors(page: Any) -> list[dict[str, list[str]]]:
    assert page.status_code == 200, "the form was accepted"
    return page.context["inline_admin_formsets"][0].formset.errors


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("listen_path", "orders", "Start the path with /"),
        ("listen_path", "/weather", "already belongs to Weather"),
        ("listen_path", "/v1", "belongs to the gateway itself"),
        ("name", "Weather", "already exists"),
        ("key_header", "Host", "HTTP itself needs this header"),
        ("key_header", "a b", "letters, digits and hyphens"),
    ],
)
def test_an_api_is_refused_at_the_field(
    client: Any, ours: Any, field: str, value: str, says: str
) -> None:
    page = client.post(of("api", "add"), api_form(**{field: value}))
    assert says in str(errors(page)[field])


@pytest.mark.parametrize(
    ("route", "field", "says"),
    [
        ({"path": "items"}, "path", "Start the path with /"),
        ({"path": "/items/{id}", "rewrite": "/x/{nr}"}, "rewrite", "{nr} is not in the route"),
        ({"path": "/{rest*}/x"}, "path", "must come last"),
    ],
)
def test_a_route_is_refused_at_the_field(
    client: Any, ours: Any, route: dict, field: str, says: str
) -> None:
    page = client.post(of("api", "add"), api_form(route | {"enabled": "on"}))
    assert says in str(row_errors(page)[0][field])


def test_routes_that_answer_the_same_calls_are_refused_at_the_later_one(
    client: Any, ours: Any
) -> None:
    first = {"path": "/items/{id}", "methods": ["GET"], "enabled": "on"}
    second = {"path": "/items/{name}", "methods": ["GET", "PUT"], "enabled": "on"}
    problems = row_errors(client.post(of("api", "add"), api_form(first, second)))
    assert problems[0] == {}
    assert "answer the same calls (GET)" in str(problems[1]["path"])


def test_all_that_is_wrong_is_told_at_once(client: Any, ours: Any) -> None:
    route = {"path": "/items/{id}", "rewrite": "/x/{nr}", "enabled": "on"}
    page = client.post(of("api", "add"), api_form(route, listen_path="/weather"))
    assert "listen_path" in errors(page)
    assert "rewrite" in row_errors(page)[0]


def test_an_api_is_saved_with_its_routes(client: Any, ours: Any, in_alice: Any) -> None:
    route = {"path": "/items/{id}", "methods": ["GET", "HEAD"], "rewrite": "/i/{id}"}
    body = api_form(route | {"enabled": "on"}, upstream=str(ours.upstream.pk))
    assert client.post(of("api", "add"), body).status_code == 302
    with in_alice:
        saved = Route.objects.get(api__name="Orders")
        assert (saved.methods, saved.rewrite) == (["GET", "HEAD"], "/i/{id}")
        assert saved.api.state == "draft"


def test_an_ai_api_needs_no_path(client: Any, ours: Any, in_alice: Any) -> None:
    body = api_form(name="More models", kind="ai", listen_path="", upstream=str(ours.upstream.pk))
    assert client.post(of("api", "add"), body).status_code == 302
    with in_alice:
        saved = Api.objects.get(name="More models")
        assert (saved.listen_path, saved.upstream) == ("/v1", None)


def test_publishing_what_has_no_upstream_says_what_is_missing(client: Any, ours: Any) -> None:
    client.post(of("api", "add"), api_form())
    url = client.get(of("api") + "?q=Orders").content.decode().split("/change/")[0][-36:]
    page = client.post(of("api", url, "publish"), follow=True)
    assert "Choose the upstream" in page.content.decode()


@pytest.mark.parametrize("limit", ["max_apis", "max_applications"])
def test_a_full_account_tier_is_told_on_the_form(
    client: Any, ours: Any, tier: Any, limit: str
) -> None:
    setattr(tier, limit, 1)
    tier.save()
    if limit == "max_apis":
        page = client.post(of("api", "add"), api_form())
    else:
        page = client.post(of("application", "add"), application_form("Mobile app"))
    assert "Your account tier allows 1" in str(errors(page)["__all__"])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://x.example", "must start with http"),
        ("https://u:p@x.example", "user names and passwords"),
        ("http://", "needs a host name"),
        ("http://127.0.0.1:8000", "public addresses only"),
    ],
)
def test_a_target_is_refused_at_its_address(
    client: Any, ours: Any, tier: Any, url: str, says: str
) -> None:
    tier.private_upstreams = False
    tier.save()
    body = {
        **posted(Upstream(name="Orders")),
        **rows("targets", {"url": url, "weight": 1, "enabled": "on"}),
    }
    page = client.post(of("upstream", "add"), body)
    assert says in str(row_errors(page)[0]["url"])
    with_target = body | {"targets-0-url": "https://orders.example.com"}
    assert client.post(of("upstream", "add"), with_target).status_code == 302


def test_an_upstream_needs_a_target(client: Any, ours: Any, in_alice: Any) -> None:
    page = client.post(of("upstream", "add"), {"name": "Orders", **rows("targets")})
    assert "Add at least one target" in page.content.decode()
    with in_alice:
        assert not Upstream.objects.filter(name="Orders").exists()


def limit_row(**given: str) -> dict[str, str]:
    return {
        "measure": "calls", "currency": "", "window": "minute", "per": "subscription",
        "mode": "exact", "then": "refuse",
    } | given  # fmt: skip


def test_a_plan_is_saved_with_its_limits(client: Any, ours: Any, in_alice: Any) -> None:
    body = {"name": "Free", "enabled": "on", **rows("limits", limit_row(amount="10"))}
    page = client.post(of("plan", "add"), body)
    assert page.status_code == 302, row_errors(page)
    with in_alice:
        assert [str(limit) for limit in Plan.objects.get(name="Free").limits.all()] == [
            "10 calls per minute"
        ]
    page = client.post(
        of("plan", "add"), body | {"name": "Null"} | rows("limits", limit_row(amount="0"))
    )
    assert "amount" in row_errors(page)[0]


def model_form(**fields: Any) -> dict[str, Any]:
    form = {"name": "small", "abilities": ["chat"], "enabled": "on"}
    routing = {"strategy": "weighted", "within_percent": 10, "explore": 50}
    return form | routing | {"unsupported": "declared", "on_break": "error"} | fields


def test_a_model_is_saved_with_abilities_apis_and_prices(
    client: Any, ours: Any, in_alice: Any
) -> None:
    deployment = {
        "provider": str(ours.provider.pk),
        "provider_model": "small-1",
        "weight": 1,
        "input_price": "0.15",
        "output_price": "",
        "currency": "eur",
        "enabled": "on",
    }
    body = model_form(abilities=["chat", "embeddings"], apis=[str(ours.models.pk)])
    assert (
        client.post(of("aimodel", "add"), body | rows("deployments", deployment)).status_code == 302
    )
    with in_alice:
        model = AIModel.objects.get(name="small")
        saved = model.deployments.get()
        assert model.abilities == ["chat", "embeddings"]
        assert list(model.apis.all()) == [ours.models]
        assert (str(saved.input_price), saved.output_price) == ("0.150000", None)
        assert saved.currency == "EUR"


def test_a_model_without_abilities_or_with_a_bad_name_is_refused(client: Any, ours: Any) -> None:
    page = client.post(of("aimodel", "add"), model_form(abilities=[]) | rows("deployments"))
    assert "abilities" in errors(page)
    page = client.post(of("aimodel", "add"), model_form(name="two words") | rows("deployments"))
    assert "name" in errors(page)


def provider_form(**fields: Any) -> dict[str, Any]:
    form = {"name": "Southern cloud", "preset": "compatible", "enabled": "on"}
    times = {"first_byte_timeout": 300, "idle_timeout": 120, "needs_credential": "on"}
    return form | times | {"base_url": "https://ai.south.example/v1"} | fields


def test_a_providers_key_is_written_and_never_shown(client: Any, ours: Any, in_alice: Any) -> None:
    secret = "sk-southern-0123456789-Zz9q"
    page = client.post(of("provider", "add"), provider_form(key=secret), follow=True)
    assert secret not in page.content.decode()
    with in_alice:
        provider = Provider.objects.get(name="Southern cloud")
        sealed = bytes(provider.credential.sealed)
        assert secret.encode() not in sealed
    page = client.get(below("provider", provider, "change/")).content.decode()
    assert "····Zz9q" in page
    assert secret not in page
    client.post(below("provider", provider, "change/"), provider_form(key="", name="South"))
    with in_alice:
        provider.refresh_from_db()
        assert provider.name == "South"
        assert bytes(Provider.objects.get(pk=provider.pk).credential.sealed) == sealed


def test_a_refused_key_is_not_echoed(client: Any, ours: Any, in_alice: Any) -> None:
    page = client.post(of("provider", "add"), provider_form(key="with\ttab"))
    assert "printable" in str(errors(page)["key"])
    assert "with\ttab" not in page.content.decode()
    with in_alice:
        assert not Provider.objects.filter(name="Southern cloud").exists()


def test_a_providers_key_is_removed(client: Any, ours: Any, in_alice: Any) -> None:
    page = client.post(below("provider", ours.provider, "remove-key/"), follow=True)
    assert "Waiting for a key" in page.content.decode()
    assert PROVIDER_SECRET[-4:] not in page.content.decode()
    with in_alice:
        assert not hasattr(Provider.objects.get(pk=ours.provider.pk), "credential")


def test_publish_and_retire(client: Any, ours: Any, in_alice: Any) -> None:
    change = below("api", ours.api, "change/")
    assert "http://alice.localhost:8080/weather" in client.get(change).content.decode()
    assert "curl http://alice.localhost:8080/weather/cities/city" in client.get(
        change
    ).content.decode().replace("&#x27;", "'")
    page = client.post(below("api", ours.api, "retire/"), follow=True)
    assert "is retired" in page.content.decode()
    with in_alice:
        assert Api.objects.get(pk=ours.api.pk).state == "retired"
    page = client.post(below("api", ours.api, "retire/"), follow=True)
    assert "no longer possible" in page.content.decode()
    client.post(below("api", ours.api, "publish/"))
    with in_alice:
        assert Api.objects.get(pk=ours.api.pk).state == "published"


def test_deleting_a_prompt_takes_its_api_along_and_says_so(
    client: Any, ours: Any, in_alice: Any
) -> None:
    url = below("prompt", ours.prompt, "delete/")
    with in_alice:
        api_id = ours.prompt.api_id
    assert str(api_id) in client.get(url).content.decode()
    assert client.post(url, {"post": "yes"}).status_code == 302
    with in_alice:
        assert not Api.objects.filter(pk=api_id).exists()
    assert client.get(of("api", api_id, "delete")).status_code == 302


def test_what_is_in_use_cannot_be_deleted(client: Any, ours: Any, in_alice: Any) -> None:
    for model in ("upstream", "plan", "provider", "aimodel"):
        page = client.post(below(model, getattr(ours, model), "delete/"), {"post": "yes"})
        assert page.status_code == 200
        assert page.context["protected"]
        with in_alice:
            getattr(ours, model).refresh_from_db()


@pytest.mark.django_db(transaction=True)
def test_a_save_is_published_and_a_refusal_is_told_with_the_way_to_it(
    client: Any, alice_tenant: Any, in_alice: Any, monkeypatch: Any
) -> None:
    page = client.post(of("application", "add"), application_form("Mobile"), follow=True)
    assert "Saved, but not in effect" not in page.content.decode()
    with in_alice:
        from catalog.models import Publication

        assert Publication.objects.first().status == "published"
        Publication.objects.update(status="refused", problem="Route /x has no upstream.")
    outcome = publishing.Outcome("refused", 1, "Route /x has no upstream.")
    monkeypatch.setattr(publishing, "publish", lambda tenant: outcome)
    page = client.post(of("application", "add"), application_form("Desk"), follow=True)
    text = page.content.decode()
    assert "Route /x has no upstream." in text
    assert "/admin/catalog/publication/" in text
    with in_alice:
        assert Application.objects.filter(name="Desk").exists()


@pytest.mark.django_db(transaction=True)
def test_publish_again(client: Any, alice_tenant: Any, in_alice: Any) -> None:
    page = client.post(of("publication", "again"), follow=True)
    assert "The gateways have the latest state." in page.content.decode()
