"""From a call through the gateway to the tenant admin's screen, in a real browser."""

from __future__ import annotations

import time
from typing import Any

from management import Admin, gateway
from playwright.sync_api import Browser, Page, expect
from test_browser import sign_in

WITHIN_MS = 10_000
"""What is measured is printed; this is only where it would be wrong."""


def latest(page: Page, path: str) -> Any:
    return page.locator("[data-live-latest] li").filter(has_text=path)


def test_a_call_moves_the_open_dashboard_and_leads_to_its_record(
    platform_up: dict[str, Any],
    page: Page,
) -> None:
    sign_in(page, platform_up["console"], platform_up["admin"])
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    path = f"/weather/cities/berlin-{time.time_ns()}"
    expect(latest(page, path)).to_have_count(0)

    started = time.monotonic()
    answer = gateway(platform_up).get(path)
    expect(latest(page, path)).to_have_count(1, timeout=WITHIN_MS)
    print(f"from call to dashboard: {time.monotonic() - started:.2f} s")

    latest(page, path).get_by_role("link").click()
    expect(page.get_by_text(path).first).to_be_visible()
    expect(page.locator("body")).to_contain_text(_dashed(answer.headers["X-Request-Id"]))
    with page.expect_navigation():
        page.get_by_role("link", name="Weather", exact=True).click()
    expect(page).to_have_url(f"{platform_up['console']}{_api_page(platform_up)}")


def test_an_address_shows_the_same_in_another_browser(
    platform_up: dict[str, Any],
    browser: Browser,
    page: Page,
) -> None:
    for city in ("berlin", "tokyo", "nowhere-at-all"):
        gateway(platform_up).get(f"/weather/cities/{city}")
    sign_in(page, platform_up["console"], platform_up["admin"])
    page.get_by_role("link", name="7 days", exact=True).click()
    page.locator("select[name=api]").select_option(label="Weather")
    with page.expect_navigation():
        page.get_by_role("button", name="Apply").click()
    expect(page.locator(".usage-card").first).to_be_visible(timeout=WITHIN_MS)
    page.get_by_role("link", name="Weather", exact=True).first.click()
    page.get_by_text("More filters").click()
    page.get_by_label("Path begins with").fill("/weather/cities/nowhere")
    with page.expect_navigation():
        page.get_by_role("button", name="Apply").click()
    address, shown = page.url, page.get_by_role("table").inner_text()
    assert "/weather/cities/nowhere-at-all" in shown

    context = browser.new_context(viewport={"width": 390, "height": 800})
    try:
        second = context.new_page()
        sign_in(second, platform_up["console"], platform_up["viewer"])
        second.set_viewport_size({"width": 1440, "height": 900})
        second.goto(address)
        assert second.get_by_role("table").inner_text() == shown
        assert second.get_by_label("Path begins with").input_value() == "/weather/cities/nowhere"
        assert "range=7d" in second.url
    finally:
        context.close()


def test_a_chart_point_leads_to_the_calls_of_its_time(
    platform_up: dict[str, Any],
    page: Page,
) -> None:
    path = f"/weather/cities/oslo-{time.time_ns()}"
    sign_in(page, platform_up["console"], platform_up["admin"])
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    gateway(platform_up).get(path)
    expect(latest(page, path)).to_have_count(1, timeout=WITHIN_MS)
    box = page.locator("canvas[data-chart=live]").bounding_box()
    assert box is not None
    with page.expect_navigation():  # the last minutes are at the right
        page.mouse.click(box["x"] + box["width"] - 30, box["y"] + box["height"] - 50)
    assert "/admin/usage/calls/" in page.url
    assert "from=" in page.url


def test_without_a_socket_the_page_asks_by_itself(
    platform_up: dict[str, Any],
    page: Page,
) -> None:
    page.route_web_socket("**/live/usage/", lambda socket: socket.close())
    sign_in(page, platform_up["console"], platform_up["admin"])
    expect(page.locator("[data-live-state]")).to_have_text("Every 10 s")
    path = f"/weather/cities/lima-{time.time_ns()}"
    gateway(platform_up).get(path)
    expect(latest(page, path)).to_have_count(1, timeout=2 * WITHIN_MS)


def _dashed(request_id: str) -> str:
    """As records show it."""
    plain = request_id.replace("-", "")
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def _api_page(platform: dict[str, Any]) -> str:
    api = Admin(platform).named("/apis/", "Weather")
    return f"/admin/catalog/api/{api['id']}/change/"
