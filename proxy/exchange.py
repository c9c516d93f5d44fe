"""The state of one call, from its head to its usage record.

Whatever handles the call fills in what it learns; the answer goes out through the
methods here and nowhere else, so that the counts and times are right in every case.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from contract.snapshot import ApiKey, Application, Plan
from contract.usage import UsageEvent
from proxy.errors import BodyTooLarge, ClientGone

if TYPE_CHECKING:
    from proxy.snapshot import ApiRuntime, RouteRuntime, SubscriptionRuntime, TenantRuntime

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CLIENT_GONE_STATUS = 499
"""Recorded where the client left before anything was sent."""


class Exchange(Struct, eq=False):
    """``started`` is ``perf_counter_ns`` and ``at`` Unix microseconds, both of the head's arrival.

    ``headers`` are the request's by lower-case name; of repeated ones the last, the full
    list is in ``scope["headers"]``. ``params`` are the path parameters, still
    percent-encoded. ``rest`` is the raw path below the listen path, ``""`` or ``/...``.
    ``api`` and ``route`` are the indexed forms (``.api`` and ``.route`` hold the contract's).
    """

    scope: Scope
    receive: Receive
    send: Send
    id: str
    started: int = 0
    at: int = 0
    method: str = ""
    query: bytes = b""
    headers: dict[bytes, bytes] = {}
    id_header: tuple[bytes, bytes] = (b"x-request-id", b"")
    task: asyncio.Task[Any] | None = None
    watched: bool = False

    tenant: TenantRuntime | None = None
    api: ApiRuntime | None = None
    route: RouteRuntime | None = None
    params: dict[str, str] = {}
    rest: str = ""
    key: ApiKey | None = None
    application: Application | None = None
    subscription: SubscriptionRuntime | None = None
    plan: Plan | None = None
    drop_authorization: bool = False

    body_limit: int | None = None
    body_done: bool = False
    added_headers: Headers | None = None
    status: int = 0
    error_code: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    first_byte_us: int = 0
    upstream_us: int = 0
    streamed: bool = False
    abandoned: bool = False
    finished: bool = False

    model_id: str = ""
    model: str = ""
    provider_id: str = ""
    deployment_id: str = ""
    prompt_id: str = ""
    prompt_version: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_micros: int | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        scope = self.scope
        self.started = perf_counter_ns()
        self.at = time_ns() // 1000
        self.method = scope["method"]
        self.query = scope["query_string"]
        headers = self.headers = dict(scope["headers"])
        self.id_header = (b"x-request-id", self.id.encode())
        self.body_done = b"content-length" not in headers and b"transfer-encoding" not in headers

    # The request's body

    def declared_length(self) -> int | None:
        """Content-Length, or None for a chunked body. 0 where there is no body."""
        if b"transfer-encoding" in self.headers:
            return None
        return int(self.headers.get(b"content-length", b"0"))

    def limit_body(self, limit: int) -> None:
        """No body of more than ``limit`` bytes is read. Raises BodyTooLarge if one is declared."""
        if self.body_limit is None or limit < self.body_limit:
            self.body_limit = limit
        declared = self.declared_length()
        if declared is not None and declared > self.body_limit:
            raise BodyTooLarge(self.body_limit)

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises BodyTooLarge, and ClientGone where it stays incomplete."""
        while not self.body_done:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.abandoned = True
                raise ClientGone
            self.body_done = not message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                self.request_bytes += len(chunk)
                if self.body_limit is not None and self.request_bytes > self.body_limit:
                    raise BodyTooLarge(self.body_limit)
                yield chunk

    async def read_body(self, limit: int) -> bytes:
        """The whole body, of at most ``limit`` bytes. Raises BodyTooLarge, ClientGone."""
        if self.body_done:
            return b""
        self.limit_body(limit)
        chunks = [chunk async for chunk in self.body()]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    # The answer

    async def start(self, status: int, headers: Headers) -> None:
        """Sends the head. ``headers``: lower-case names, no hop-by-hop fields."""
        self.status = status
        headers.append(self.id_header)
        if self.added_headers is not None:
            headers += self.added_headers
        self.first_byte_us = (perf_counter_ns() - self.started) // 1000
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """Sends a piece of the body; waits while the client is slow to read."""
        self.response_bytes += len(chunk)
        await self.send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, last: bytes = b"") -> None:
        """Ends the answer."""
        self.response_bytes += len(last)
        self.finished = True
        await self.send({"type": "http.response.body", "body": last, "more_body": False})

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer at once. ``headers`` must hold the Content-Length."""
        await self.start(status, headers)
        await self.finish(body)

    # The record

    def event(self) -> UsageEvent:
        """The usage event as things stand now."""
        tenant, api, route = self.tenant, self.api, self.route
        common = (
            self.id,
            self.at,
            tenant.id if tenant is not None else "",
            self.method,
            self.scope["path"][:512],
            self.status or CLIENT_GONE_STATUS,
            self.error_code,
            api.id if api is not None else "",
            route.id if route is not None else "",
            self.application.id if self.application is not None else "",
            self.key.id if self.key is not None else "",
            self.plan.id if self.plan is not None else "",
            self.request_bytes,
            self.response_bytes,
            (perf_counter_ns() - self.started) // 1000,
            self.upstream_us,
            self.first_byte_us,
            self.streamed,
            self.abandoned,
        )
        if not self.model_id and not self.prompt_id and not self.model:
            return UsageEvent(*common)
        return UsageEvent(
            *common,
            self.model_id,
            self.model,
            self.provider_id,
            self.deployment_id,
            self.prompt_id,
            self.prompt_version,
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.reasoning_tokens,
            self.cost_micros,
            self.currency,
        )
