"""The live dashboard's socket: who is let in, what it says and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection

from analytics import live
from tests.analytics_admin.websocket import Socket

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/live/usage/"


@pytest.fixture(autouse=True)
def _nobody_told_yet(valkey_url: str) -> None:
    live._last.clear()


def socket(host: str, cookie: str = "", origin: str | None = None, path: str = PATH) -> Socket:
    headers = [(b"host", host.encode()), (b"cookie", cookie.encode())]
    if origin != "none":
        headers.append((b"origin", (origin or f"http://{host}").encode()))
    return Socket(path, headers)


def cookie_of(client: Any) -> str:
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}" if name in client.cookies else ""


async def answer(page: Socket) -> bool:
    """Whether it was let in; closed again in any case."""
    accepted = await page.open()
    await page.close()
    return accepted


@pytest.mark.parametrize("who", ["alice", "bob", "vera"])
async def test_members_are_let_in(
    request: Any, client_for: Any, alice_tenant: Any, alice: Any, bob: Any, vera: Any, who: str
) -> None:
    user = {"alice": alice, "bob": bob, "vera": vera}[who]
    client = await sync_to_async(client_for)(alice_tenant, user)
    assert await answer(socket("alice.localhost:8000", cookie_of(client)))


async def test_a_stranger_and_another_tenants_owner_are_not(
    client_for: Any, alice_tenant: Any, charlie_tenant: Any, charlie: Any
) -> None:
    client = await sync_to_async(client_for)(charlie_tenant, charlie)
    cookie = cookie_of(client)
    assert await answer(socket("charlie.localhost", cookie))
    assert not await answer(socket("alice.localhost", cookie))
    assert not await answer(socket("alice.localhost"))
    assert not await answer(socket("nobody.localhost", cookie))


@pytest.mark.parametrize(
    "origin", ["none", "http://evil.example", "http://charlie.localhost", "null"]
)
async def test_only_the_hosts_own_pages_may_open_it(
    client_for: Any, alice_tenant: Any, alice: Any, origin: str
) -> None:
    client = await sync_to_async(client_for)(alice_tenant, alice)
    assert not await answer(socket("alice.localhost", cookie_of(client), origin))


async def test_a_one_time_password_must_be_replaced_first(
    client_for: Any, alice_tenant: Any, alice: Any
) -> None:
    def mark() -> Any:
        alice.must_change_password = True
        alice.save()
        return client_for(alice_tenant, alice)

    client = await sync_to_async(mark)()
    assert not await answer(socket("alice.localhost", cookie_of(client)))


async def test_there_is_no_other_socket(client_for: Any, alice_tenant: Any, alice: Any) -> None:
    client = await sync_to_async(client_for)(alice_tenant, alice)
    assert not await answer(socket("alice.localhost", cookie_of(client), path="/live/other/"))


async def test_it_says_changed_to_the_tenant_concerned_and_to_no_other(
    client_for: Any, alice_tenant: Any, charlie_tenant: Any, alice: Any, charlie: Any
) -> None:
    ours = socket(
        "alice.localhost", cookie_of(await sync_to_async(client_for)(alice_tenant, alice))
    )
    theirs = socket(
        "charlie.localhost", cookie_of(await sync_to_async(client_for)(charlie_tenant, charlie))
    )
    assert await ours.open()
    assert await theirs.open()
    await sync_to_async(live.announce)([charlie_tenant.pk])
    assert await theirs.hears() == "changed"
    assert await ours.hears_nothing(0.5)
    await ours.close()
    await theirs.close()


async def test_a_page_is_told_at_once_and_again_when_the_pause_is_over(
    client_for: Any, alice_tenant: Any, alice: Any
) -> None:
    client = await sync_to_async(client_for)(alice_tenant, alice)
    page = socket("alice.localhost", cookie_of(client))
    assert await page.open()
    for _ in range(20):
        await get_channel_layer().group_send(live.group_of(alice_tenant.pk), live.MESSAGE)
    assert await page.hears() == "changed"
    assert await page.hears_nothing(live.EVERY / 2)
    assert await page.hears() == "changed"
    assert await page.hears_nothing(live.EVERY / 2)
    await page.close()


async def test_a_socket_holds_no_database_connection(
    client_for: Any, alice_tenant: Any, alice: Any
) -> None:
    client = await sync_to_async(client_for)(alice_tenant, alice)
    page = socket("alice.localhost", cookie_of(client))
    assert await page.open()
    assert await sync_to_async(lambda: connection.connection)() is None
    await page.close()


def test_a_tenant_is_announced_at_most_once_a_second() -> None:
    live._last.clear()
    assert live._due({"a", "b"}, 100.0) == ["a", "b"]
    assert live._due({"a", "c"}, 100.5) == ["c"]
    assert live._due({"a"}, 101.0) == ["a"]
    assert live._due(set(), 200.0) == []
    assert live._last == {}
