"""The socket of the live dashboard, on the tenant's own host at ``/live/usage/``.

It carries no figures: "changed" is all it says, and the page then asks for them.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.urls import path, re_path

from analytics.live import EVERY, group_of
from tenants.access import may, membership_of
from tenants.middleware import tenant_of
from tenants.models import Domain, Tenant, User

LIFE = 600
"""Seconds after which a socket is closed. The page opens it again, and is checked again."""
REFUSED = 4403


class LiveUsage(AsyncWebsocketConsumer):
    """For members of the host's tenant whose role may see usage, from that host's own pages."""

    def __init__(self) -> None:
        super().__init__()
        self.group = ""
        self.pause: asyncio.Task[None] | None = None
        self.end: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        host = _header(self.scope, b"host")
        own_page = urlsplit(_header(self.scope, b"origin")).netloc == host
        tenant = await _tenant_for(self.scope["user"], host) if host and own_page else None
        if tenant is None:
            await self.close(REFUSED)
            return
        self.group = group_of(tenant.pk)
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        loop = asyncio.get_running_loop()
        self.end = loop.call_later(LIFE, lambda: loop.create_task(self.close()))

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)
        for running in (self.pause, self.end):
            if running is not None:
                running.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page has nothing to say."""

    async def usage_changed(self, message: dict[str, Any]) -> None:
        """Tells the page now and once more after a while, for what came in between."""
        if self.pause is None or self.pause.done():
            await self.send("changed")
            self.pause = asyncio.create_task(self._tell_again())

    async def _tell_again(self) -> None:
        await asyncio.sleep(EVERY)
        await self.send("changed")


class Nowhere(AsyncWebsocketConsumer):
    """Any other address."""

    async def connect(self) -> None:
        await self.close(REFUSED)


def _header(scope: dict[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


@sync_to_async
def _tenant_for(user: User | AnonymousUser, host: str) -> Tenant | None:
    """The tenant at ``host``, if this user may watch its usage."""
    try:
        connection.set_schema_to_public()
        tenant = tenant_of(host.rsplit(":", 1)[0].lower().rstrip("."))
        membership = membership_of(user, tenant)
    except Domain.DoesNotExist:
        return None
    finally:
        if not connection.in_atomic_block:  # as in a test's own transaction
            connection.close()
    if membership is None or not user.is_active or user.must_change_password:
        return None
    return tenant if may(membership.role, "view", "analytics", "usagerecord") else None


live_socket = AuthMiddlewareStack(
    URLRouter([path("live/usage/", LiveUsage.as_asgi()), re_path("", Nowhere.as_asgi())])
)
