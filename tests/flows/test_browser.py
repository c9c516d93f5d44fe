"""A tenant admin in a real browser: publishes an API, approves a subscription, is obeyed."""

from __future__ import annotations

import socket
import time
from typing import Any

import httpx
from management import Admin, gateway
from playwright.sync_api import Page, expect


def sign_in(page: Page, address: str, person: dict[str, str]) -> None:
    page.goto(f"{address}/admin/")
    page.get_by_label("Username").fill(person["username"])
    page.get_by_label("Password").fill(person["password"])
    with page.expect_navigation():
        page.keyboard.press("Enter")


def pick(page: Page, name: str, label: str) -> None:
    """Chooses in a select, plain or with a search on top."""
    select = page.locator(f"select[name={name}]")
    if "select2-hidden-accessible" not in (select.get_attribute("class") or ""):
        select.select_option(label=label)
        return
    page.locator(f"#select2-id_{name}-container").click()
    search = page.locator(".select2-container--open .select2-search__field")
    if search.is_visible():
        search.fill(label)
    page.locator(".select2-results__option").get_by_text(label, exact=True).click()


def save(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Save", exact=True).click()


def status_and_code(platform: dict[str, Any], key: str, path: str) -> tuple[int, str]:
    answer = gateway(platform, key).get(path)
    return answer.status_code, "" if answer.is_success else answer.json()["code"]


def test_an_api_is_published_and_a_refused_call_is_answered_after_approval(
    platform_up: dict[str, Any], page: Page
) -> None:
    admin, path = Admin(platform_up), "/almanac/cities/tokyo"
    application = admin.post("/applications/", name="Almanac reader")
    key = admin.post("/keys/", application=application["id"], name="browser")["key"]

    sign_in(page, platform_up["console"], platform_up["admin"])
    page.goto(f"{platform_up['console']}/admin/catalog/upstream/add/")
    page.locator("[name=name]").fill("Almanac service")
    weather = f"http://127.0.0.1:{platform_up['sandbox_port']}/weather"
    page.locator("[name=targets-0-url]").fill(weather)
    save(page)

    page.goto(f"{platform_up['console']}/admin/catalog/api/add/")
    page.locator("[name=name]").fill("Almanac")
    page.locator("[name=listen_path]").fill("/almanac")
    pick(page, "upstream", "Almanac service")
    save(page)
    assert status_and_code(platform_up, key, path) == (404, "route_not_found")

    page.goto(f"{platform_up['console']}/admin/catalog/api/")
    page.get_by_role("link", name="Almanac", exact=True).click()
    with page.expect_navigation():
        page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("PUBLISHED", exact=False).first).to_be_visible()
    assert status_and_code(platform_up, key, path) == (403, "subscription_missing")

    page.goto(f"{platform_up['console']}/admin/catalog/subscription/add/")
    pick(page, "application", "Almanac reader")
    pick(page, "api", "Almanac")
    pick(page, "plan", "Free")
    save(page)
    assert status_and_code(platform_up, key, path) == (403, "subscription_pending")

    page.goto(f"{platform_up['console']}/admin/catalog/subscription/")
    row = page.get_by_role("row").filter(has_text="Almanac reader")
    row.get_by_text("Approve", exact=True).click()
    dialog = page.get_by_role("dialog")
    with page.expect_navigation():
        dialog.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("approved", exact=False).first).to_be_visible()
    assert status_and_code(platform_up, key, path) == (200, "")


def test_a_viewer_sees_the_catalogue_and_can_change_nothing(
    platform_up: dict[str, Any], page: Page
) -> None:
    sign_in(page, platform_up["console"], platform_up["viewer"])
    page.goto(f"{platform_up['console']}/admin/catalog/api/")
    page.get_by_role("link", name="Weather", exact=True).click()
    expect(page.get_by_text("/weather", exact=False).first).to_be_visible()
    assert page.get_by_role("button", name="Save").count() == 0
    assert page.get_by_role("button", name="Retire").count() == 0
    answer = page.goto(f"{platform_up['console']}/admin/catalog/upstream/add/")
    assert answer is not None
    assert answer.status == 403


def test_a_tenants_admin_cannot_enter_the_operators_console(
    platform_up: dict[str, Any], page: Page
) -> None:
    operator = f"http://localhost:{platform_up['console_port']}"
    sign_in(page, operator, platform_up["admin"])
    expect(page.get_by_label("Password")).to_be_visible()
    tenants = httpx.get(
        f"http://127.0.0.1:{platform_up['console_port']}/admin/tenants/tenant/",
        headers={"Host": "localhost"},
    )
    assert tenants.status_code == 302


def test_the_operator_makes_a_tenant_and_sees_it_become_ready(
    platform_up: dict[str, Any], page: Page
) -> None:
    operator = f"http://localhost:{platform_up['console_port']}"
    sign_in(page, operator, platform_up["operator"])
    page.goto(f"{operator}/admin/tenants/tenant/add/")
    page.locator("[name=name]").fill("Meadow")
    page.locator("[name=slug]").fill("meadow")
    page.locator("select[name=tier]").select_option(index=1, force=True)
    page.get_by_label("Owner's user name").fill("mia")
    page.get_by_label("Owner's e-mail").fill("mia@meadow.example")
    with page.expect_navigation():
        page.get_by_role("button", name="Create the tenant").click()
    expect(page.get_by_text("Ready.")).to_be_visible(timeout=30_000)
    assert called_as(platform_up, "meadow") == (404, "route_not_found")

    page.goto(f"{operator}/admin/tenants/tenant/")
    with page.expect_navigation():
        page.get_by_role("link", name="Meadow", exact=True).first.click()
    page.get_by_role("link", name="Suspend").click()
    page.get_by_label("Reason").fill("The invoice is unpaid.")
    with page.expect_navigation():
        page.get_by_role("button", name="Suspend").click()
    assert called_as(platform_up, "meadow") == (403, "tenant_suspended")


def called_as(platform: dict[str, Any], slug: str) -> tuple[int, str]:
    """How the gateway answers on a tenant's host, once every worker has the change."""
    time.sleep(1)
    answer = httpx.get(
        f"http://127.0.0.1:{platform['gateway_port']}/anything",
        headers={"Host": f"{slug}.localhost"},
    )
    return answer.status_code, answer.json()["code"]


def test_clients_that_leave_take_no_database_connection_with_them(
    platform_up: dict[str, Any],
) -> None:
    """Far more calls are broken off than the pool has connections."""
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", platform_up["console_port"])) as client:
            token = platform_up["management_token"]
            head = (
                f"GET /api/apis/ HTTP/1.1\r\nHost: demo.localhost\r\nAuthorization: Token {token}"
            )
            client.sendall(f"{head}\r\n\r\n".encode())
            time.sleep(0.02)
    assert Admin(platform_up).get("/apis/")["count"] >= 1


def test_a_model_is_added_from_the_library_and_another_at_a_chosen_provider(
    platform_up: dict[str, Any], page: Page
) -> None:
    admin = Admin(platform_up)
    admin.post("/providers/", name="Groq", preset="groq")
    for name in ("Anthropic", "Anthropic in Europe"):
        admin.post("/providers/", name=name, preset="anthropic")
    sign_in(page, platform_up["console"], platform_up["admin"])

    page.goto(f"{platform_up['console']}/admin/library/")
    page.get_by_label("Search", exact=True).fill("llama instant")
    page.get_by_label("Provider").select_option("groq")
    with page.expect_navigation():
        page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row").filter(has_text="llama-3.1-8b-instant")
    with page.expect_navigation():
        row.get_by_role("button").click()
    expect(page.get_by_text("llama-3.1-8b-instant is added.")).to_be_visible()
    expect(row.get_by_role("link", name="Added")).to_be_visible()

    page.goto(f"{platform_up['console']}/admin/library/?vendor=anthropic&q=haiku+4.5")
    page.get_by_role("link", name="Add Claude Haiku 4.5").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Provider").select_option(label="Anthropic in Europe")
    dialog.get_by_role("textbox").fill("haiku")
    with page.expect_navigation():
        dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("haiku is added.")).to_be_visible()
    (deployment,) = admin.named("/models/", "haiku")["deployments"]
    assert deployment["library"] == "anthropic/claude-haiku-4-5"
    assert deployment["input_price"] is not None
