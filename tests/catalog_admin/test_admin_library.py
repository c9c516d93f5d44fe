"""The library's pages: searched, added from, prices agreed to, and who may."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog import library
from catalog.models import AIModel, Deployment, PriceChange, Provider
from catalog.services import ai
from catalog.services import library as service

FAST = "openai/gpt-4o-mini"
PAGES = ["/admin/library/", "/admin/library/add/?key=" + FAST, "/admin/library/updates/"]


@pytest.fixture
def browser(request: Any, client_for: Any, alice_tenant: Any) -> Any:
    def sign_in(who: str) -> Client:
        return client_for(alice_tenant, request.getfixturevalue(who))

    return sign_in


@pytest.fixture
def openai(alice_tenant: Any, ours: Any) -> Provider:
    with alice_tenant:
        return ai.save_provider(provider=Provider(name="OpenAI", preset="openai"))


@pytest.fixture
def old(alice_tenant: Any, openai: Provider) -> Deployment:
    """From the library, of a time when it was dearer."""
    with alice_tenant:
        row = service.add(entry=service.entry_of(FAST), provider=openai)
        Deployment.objects.filter(pk=row.pk).update(input_price=Decimal("99.5"))
        return row


def _html(response: Any) -> str:
    assert response.status_code == 200
    return response.content.decode()


def _row(html: str, key: str) -> str:
    model = library.entries()[key].provider_model
    rows = re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    return next(row for row in rows if f"<code>{model}</code>" in row)


def test_a_page_shows_fifty_and_says_how_many_there_are(browser: Any, ours: Any) -> None:
    html = _html(browser("bob").get("/admin/library/"))
    assert html.count('<details class="library-model">') == 50
    assert f"{len(library.entries())} models" in html
    last = _html(browser("bob").get("/admin/library/?page=9999"))
    assert 'rel="next"' not in last
    assert _html(browser("bob").get("/admin/library/?page=x&page=-1"))


def test_search_filter_and_order(browser: Any, openai: Any) -> None:
    address = "/admin/library/?q=4o+mini&vendor=openai&sort=-context"
    html = _html(browser("bob").get(address))
    row = _row(html, FAST)
    assert "$0.15" in row
    assert "$0.60" in row
    assert "128,000" in row
    assert 'aria-sort="descending"' in html
    assert "Groq" not in "".join(re.findall(r"<tr>.*?</tr>", html, re.DOTALL))


def test_what_means_nothing_is_said_and_left_out(browser: Any, ours: Any) -> None:
    html = _html(browser("bob").get("/admin/library/?vendor=%00x&ability=fly&sort=colour"))
    assert "The library has no such provider" in html
    assert "There is no such ability" in html
    assert "No model matches" in _html(browser("bob").get("/admin/library/?q=%22%3E%3Cscript%3E"))


def test_an_unknown_price_is_never_shown_as_zero(browser: Any, ours: Any) -> None:
    key = next(
        key
        for key, entry in library.entries().items()
        if entry.prices[-1].input is None and entry.vendor.id == "openai"
    )
    address = f"/admin/library/?q={library.entries()[key].id}&vendor=openai"
    row = _row(_html(browser("bob").get(address)), key)
    assert row.count('class="library-unknown">unknown') == 2
    assert "$0" not in row.partition("</details>")[2]


def test_one_click_adds_at_the_only_provider(browser: Any, openai: Any, alice_tenant: Any) -> None:
    client = browser("bob")
    assert f'value="{FAST}"' in _row(
        _html(client.get("/admin/library/?q=4o-mini&vendor=openai")), FAST
    )
    after = "/admin/library/?q=4o-mini&vendor=openai"
    response = client.post("/admin/library/add/", {"key": FAST, "next": after})
    assert response["Location"] == after
    html = _html(client.get(after))
    assert "is added. It can be called once OpenAI has its key." in html
    assert "Added" in _row(html, FAST)
    assert f'value="{FAST}"' not in html
    with alice_tenant:
        (deployment,) = AIModel.objects.get(name="gpt-4o-mini").deployments.all()
        assert deployment.library == FAST
        assert deployment.input_price == Decimal("0.15")


def test_of_several_providers_one_is_chosen(browser: Any, openai: Any, alice_tenant: Any) -> None:
    with alice_tenant:
        other = ai.save_provider(provider=Provider(name="OpenAI in Europe", preset="openai"))
    client = browser("bob")
    assert "Add …" in _row(_html(client.get("/admin/library/?q=4o-mini&vendor=openai")), FAST)
    asked = _html(client.post("/admin/library/add/", {"key": FAST}))
    assert "OpenAI in Europe" in asked
    said = {"key": FAST, "provider": str(other.pk), "name": "fast"}
    assert client.post("/admin/library/add/", said).status_code == 302
    with alice_tenant:
        assert AIModel.objects.get(name="fast").deployments.get().provider == other


def test_a_name_that_is_taken_is_asked_about(browser: Any, old: Any, alice_tenant: Any) -> None:
    with alice_tenant:
        second = ai.save_provider(provider=Provider(name="OpenAI 2", preset="openai"))
    said = {"key": FAST, "provider": str(second.pk), "name": "gpt-4o-mini"}
    client = browser("bob")
    assert "There is a model gpt-4o-mini already" in _html(client.post("/admin/library/add/", said))
    assert client.post("/admin/library/add/", said | {"join": "on"}).status_code == 302
    with alice_tenant:
        assert AIModel.objects.get(name="gpt-4o-mini").deployments.count() == 2


def test_without_a_provider_it_leads_to_one(browser: Any, ours: Any) -> None:
    client = browser("bob")
    key = "groq/llama-3.1-8b-instant"
    assert "Connect" in _row(_html(client.get("/admin/library/?q=8b-instant&vendor=groq")), key)
    place = client.get("/admin/library/add/", {"key": key})["Location"]
    assert place == "/admin/catalog/provider/add/?preset=groq&name=Groq"
    form = _html(client.get(place))
    assert '<option value="groq" selected' in form
    assert 'value="Groq"' in form


@pytest.mark.parametrize("key", ["", "openai/none", "\x00", "x" * 5000])
def test_what_is_not_in_the_library_is_not_added(browser: Any, openai: Any, key: str) -> None:
    client = browser("bob")
    response = client.post("/admin/library/add/", {"key": key, "next": "https://evil.example/"})
    assert response["Location"] == "/admin/library/"
    assert "The library has no such model" in _html(client.get("/admin/library/"))


@pytest.mark.parametrize(
    "said",
    [
        {"name": ""},
        {"name": "with spaces"},
        {"name": "x" * 121},
        {"name": "fine", "provider": "00000000-0000-0000-0000-000000000000"},
        {"name": "fine", "provider": "x"},
    ],
)
def test_a_bad_answer_is_asked_again(
    browser: Any, openai: Any, alice_tenant: Any, said: dict
) -> None:
    body = {"key": FAST, "provider": str(openai.pk)} | said
    assert 'id="deed"' in _html(browser("bob").post("/admin/library/add/", body))
    with alice_tenant:
        assert AIModel.objects.count() == 1


def test_new_prices_are_shown_and_nothing_changes(
    browser: Any, old: Any, alice_tenant: Any
) -> None:
    html = _html(browser("bob").get("/admin/library/updates/"))
    assert "<del>$99.50</del> <ins>$0.15</ins>" in html
    assert "New prices for 1 deployment" in _html(browser("bob").get("/admin/library/"))
    with alice_tenant:
        assert PriceChange.objects.count() == 0


def test_what_is_chosen_gets_dated_prices(browser: Any, old: Any, alice_tenant: Any) -> None:
    client = browser("bob")
    value = re.search(r'name="agreed" value="([^"]+)"', _html(client.get(PAGES[2])))[1]
    assert client.post(PAGES[2], {"agreed": value}).status_code == 302
    assert "Calls until now keep theirs" in _html(client.get(PAGES[2]))
    with alice_tenant:
        assert PriceChange.objects.get().input_price == Decimal("0.15")
        assert Deployment.objects.get(pk=old.pk).input_price == Decimal("99.5")


@pytest.mark.parametrize(
    ("agreed", "told"),
    [
        ([], "Nothing was chosen"),
        (["x"], "This is not what the page offers"),
        (["00000000-0000-0000-0000-000000000000:1"], "Something has changed"),
    ],
)
def test_a_choice_that_is_none_changes_nothing(
    browser: Any, old: Any, alice_tenant: Any, agreed: list, told: str
) -> None:
    client = browser("bob")
    client.post(PAGES[2], {"agreed": agreed})
    assert told in _html(client.get(PAGES[2]))
    with alice_tenant:
        assert PriceChange.objects.count() == 0


def test_a_viewer_looks_and_changes_nothing(browser: Any, old: Any, alice_tenant: Any) -> None:
    viewer = browser("vera")
    assert 'form="library-add"' not in _html(viewer.get(PAGES[0]))
    assert 'name="agreed"' not in _html(viewer.get(PAGES[2]))
    assert viewer.get(PAGES[1]).status_code == 403
    assert viewer.post("/admin/library/add/", {"key": FAST}).status_code == 403
    assert viewer.post(PAGES[2], {"agreed": []}).status_code == 403
    with alice_tenant:
        assert AIModel.objects.count() == 2


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("who", [None, "charlie"])
def test_strangers_are_asked_to_sign_in(
    request: Any, client_for: Any, alice_tenant: Any, path: str, who: str | None
) -> None:
    user = request.getfixturevalue(who) if who else None
    response = client_for(alice_tenant, user).get(path)
    assert response.status_code == 302
    assert "/admin/login/" in response["Location"]


def test_a_get_adds_nothing_and_a_post_needs_its_token(
    alice_tenant: Any, alice: Any, openai: Any
) -> None:
    client = Client(enforce_csrf_checks=True, HTTP_HOST="alice.localhost")
    client.force_login(alice)
    assert 'id="deed"' in _html(client.get(PAGES[1]))
    assert client.post("/admin/library/add/", {"key": FAST}).status_code == 403
    assert client.post(PAGES[2], {}).status_code == 403
    with alice_tenant:
        assert AIModel.objects.count() == 1


def test_what_another_tenant_has_is_not_seen(
    client_for: Any, charlie_tenant: Any, charlie: Any, theirs: Any, old: Any, openai: Any
) -> None:
    client = client_for(charlie_tenant, charlie)
    assert "Added" not in _row(_html(client.get("/admin/library/?q=4o-mini&vendor=openai")), FAST)
    assert "Nothing to change" in _html(client.get(PAGES[2]))
    said = {"key": FAST, "provider": str(openai.pk), "name": "mine"}
    assert "/provider/add/" in client.post("/admin/library/add/", said)["Location"]


def _queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        _html(client.get(path))
    return len(queries)


@pytest.mark.parametrize(
    "path", ["/admin/library/?vendor=openai", PAGES[2], "/admin/catalog/aimodel/"]
)
def test_pages_ask_the_database_no_more_for_more_models(
    browser: Any, old: Any, openai: Any, alice_tenant: Any, path: str
) -> None:
    client = browser("bob")
    few = _queries(client, path)
    with alice_tenant:
        for key in [k for k in library.entries() if k.startswith("openai/gpt-4.")][:8]:
            service.add(entry=service.entry_of(key), provider=openai)
        Deployment.objects.exclude(library="").update(input_price=Decimal("99.5"))
    assert _queries(client, path) == few


def test_a_model_without_a_price_is_flagged(browser: Any, ours: Any, alice_tenant: Any) -> None:
    client = browser("bob")
    list_, page = "/admin/catalog/aimodel/", f"/admin/catalog/aimodel/{ours.aimodel.pk}/change/"
    assert "price unknown" in _html(client.get(list_))
    assert "Price unknown: large at Northern cloud" in _html(client.get(page))
    with alice_tenant:
        ours.aimodel.deployments.update(output_price=0)
    assert "price unknown" not in _html(client.get(list_))
    assert "Price unknown" not in _html(client.get(page))
