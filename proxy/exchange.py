"""The state of one call, from its head to its usage record.

Whatever handles the call fills in what it learns; the answer goes out through the
methods here and nowhere else, so that the counts and times are right in every case.
How bytes come and go is the server's: ``proxy.call`` and ``proxy.asgi`` each have a
subclass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from contract.snapshot import ApiKey, Application
from contract.usage import Measured, UsageEvent
from proxy.errors import BodyTooLarge

if TYPE_CHECKING:
    from contract.snapshot import Prices
    from proxy.ai.estimate import Estimate
    from proxy.ai.middle import Usage
    from proxy.ai.tap import StreamTap
    from proxy.known import Known
    from proxy.policies.settlement import Reservation
    from proxy.runtime import Caller, ModelRuntime
    from proxy.snapshot import ApiRuntime, RouteRuntime, SubscriptionRuntime, TenantRuntime
    from proxy.upstream.response import Response
    from proxy.usage.journal import Journal
    from proxy.usage.slots import Slot

Headers = list[tuple[bytes, bytes]]

CLIENT_GONE_STATUS = 499
"""Recorded where the client left before anything was sent."""


class _Done:
    """An awaitable that has nothing to wait for."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE: Awaitable[None] = _Done()


class RequestHead:
    """The header fields of a request: ``pairs`` as sent, with lower-case names.

    ``fields`` are the same by name; of repeated ones the last. ``kept``: it has come again
    on its connection, so it is worth knowing (``proxy.known``).
    """

    __slots__ = ("fields", "kept", "pairs")

    def __init__(self, pairs: Headers) -> None:
        self.pairs = pairs
        self.fields = dict(pairs)
        self.kept = False


class Exchange:
    """``started`` is ``perf_counter_ns`` and ``at`` Unix microseconds, both of the head's arrival.

    ``raw_path`` and ``query`` are as sent. ``onward`` is the path that is sent upstream; where
    the API is not forwarded, ``rest`` is the raw path below its listen path, ``""`` or ``/...``.
    ``client`` is the peer's address, or empty. ``api`` and ``route`` are the indexed forms
    (``.api`` and ``.route`` hold the contract's). ``body_done``: nothing of the body is
    left to read.
    """

    client: str = ""
    scheme: str = "http"
    entered: bool = False
    """Some of its handling is done."""

    known: Known | None = None
    # What serves a call runs once these are found: it tells the type checker so.
    tenant: TenantRuntime | None = None
    api: ApiRuntime | None = None
    route: RouteRuntime | None = None
    rest: str = ""
    onward: bytes = b""
    caller: Caller | None = None
    subscription: SubscriptionRuntime | None = None
    drop_authorization: bool = False

    body_limit: int | None = None
    holds: int = 0
    """Bytes of its body that ``Bodies`` counts."""
    reservation: Reservation | None = None
    """What limits hold for this call until it is over."""
    end_user: str = ""
    """The digest of whom it is made for, where a limit for each end user applies."""
    asked: tuple[ModelRuntime, bytes, str] | None = None
    """The model that an AI call names, its body, and the ability it needs."""
    instead: tuple[ModelRuntime, str] | None = None
    """The model that is asked in its place, and why."""
    expected: Estimate | None = None
    """What it will use later, at most: limits count that, whatever is reported now."""
    added_headers: Headers | None = None
    status: int = 0
    error_code: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    first_byte_us: int = 0
    upstream_us: int = 0
    attempts: int = 0
    """Requests sent upstream for it; the pool counts them."""
    streamed: bool = False
    abandoned: bool = False
    stopped: bool = False
    """The worker stops and does not wait for its end."""
    finished: bool = False
    """The answer is on its way to its end: what has failed before must end the connection."""
    recorded: bool = False

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
    cache_write_tokens: int | None = None
    guessed: bool = False
    """Tokens and cost are reckoned from what came of an answer that was cut off or unreadable."""
    cost_micros: int | None = None
    currency: str = ""
    compared: ModelRuntime | None = None
    """The model at whose price the saving is reckoned."""
    saved_micros: int | None = None
    measured: Measured | None = None
    """What else than tokens it may be billed by."""
    routed: str = ""
    """Why the model's deployment was chosen, and whom it came after."""
    adapted: str = ""
    """What the provider could not be told as it was asked."""
    embedded: list[tuple[Prices, Usage]] | None = None
    """What was embedded for choosing the deployment: it is part of the call's cost."""

    journal: Journal | None = None
    slot: Slot | None = None
    """Held in the journal while the call is upstream."""

    def __init__(
        self, identifier: str, method: str, raw_path: bytes, query: bytes, head: RequestHead
    ) -> None:
        self.id = identifier
        self.method = method
        self.raw_path = raw_path
        self.query = query
        self.head = head
        fields = self.headers = head.fields
        self.length: int | None = 0
        """Content-Length, or None for a chunked body. 0 where there is no body."""
        self.body_done = True
        if b"transfer-encoding" in fields:
            self.length, self.body_done = None, False
        elif b"content-length" in fields:
            self.length, self.body_done = int(fields[b"content-length"]), False
        self.at = time_ns() // 1000
        self.started = perf_counter_ns()

    # The server's part

    async def receive(self) -> bytes:
        """The next piece of the body, perhaps empty; sets ``body_done`` with the last.

        Raises ClientGone where the body stays incomplete.
        """
        raise NotImplementedError

    def send_head(self, status: int, headers: Headers, length: int | None) -> Awaitable[None]:
        raise NotImplementedError

    def send_body(self, chunk: bytes) -> Awaitable[None]:
        raise NotImplementedError

    def send_end(self, last: bytes) -> Awaitable[None]:
        raise NotImplementedError

    def send_whole(
        self, status: int, headers: Headers, body: bytes, length: int
    ) -> Awaitable[None]:
        raise NotImplementedError

    def drop(self) -> None:
        """Ends the connection: the answer cannot be completed."""
        raise NotImplementedError

    # Who calls

    @property
    def key(self) -> ApiKey | None:
        return self.caller.key if self.caller is not None else None

    @property
    def application(self) -> Application | None:
        return self.caller.application if self.caller is not None else None

    # The request's body

    def limit_body(self, limit: int) -> None:
        """No body of more than ``limit`` bytes is read. Raises BodyTooLarge if one is declared."""
        if self.body_limit is None or limit < self.body_limit:
            self.body_limit = limit
        if self.length is not None and self.length > self.body_limit:
            raise BodyTooLarge(self.body_limit)

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises BodyTooLarge, and ClientGone where it stays incomplete."""
        while not self.body_done:
            chunk = await self.receive()
            if chunk:
                self.count_in(chunk)
                yield chunk

    async def pour(
        self,
        response: Response,
        feed: Callable[[bytes], bytes] | None,
        watch: StreamTap | None = None,
    ) -> bytes:
        """Writes the answer's pieces as they come, each as ``feed`` returns it.

        ``watch``, whose method ``feed`` is, tells which frames of a chunked body need not be fed.
        Returns the last piece, which is neither fed nor written. Raises UpstreamError.
        """
        async for chunk in response:
            if response.complete:
                return chunk
            if feed is not None:
                chunk = feed(chunk)
            if chunk:
                await self.write(chunk)
        return b""

    async def read_body(self, limit: int) -> bytes:
        """The whole body, of at most ``limit`` bytes. Raises BodyTooLarge, ClientGone."""
        if self.body_done:
            return b""
        self.limit_body(limit)
        chunk = await self.receive()
        self.count_in(chunk)
        if self.body_done:
            return chunk
        chunks = [chunk]
        while not self.body_done:
            chunk = await self.receive()
            self.count_in(chunk)
            chunks.append(chunk)
        return b"".join(chunks)

    def count_in(self, chunk: bytes) -> None:
        self.request_bytes += len(chunk)
        if self.body_limit is not None and self.request_bytes > self.body_limit:
            raise BodyTooLarge(self.body_limit)

    # The answer

    def start(self, status: int, headers: Headers, length: int | None = None) -> Awaitable[None]:
        """Sends the head. ``headers``: lower-case names, neither framing nor hop-by-hop fields.

        ``length`` is the Content-Length; None where it is not known before the end.
        """
        self.status = status
        if self.added_headers is not None:
            headers = headers + self.added_headers
        self.first_byte_us = (perf_counter_ns() - self.started) // 1000
        return self.send_head(status, headers, length)

    def write(self, chunk: bytes) -> Awaitable[None]:
        """Sends a piece of the body; waits while the client is slow to read."""
        self.response_bytes += len(chunk)
        return self.send_body(chunk)

    def finish(self, last: bytes = b"") -> Awaitable[None]:
        """Ends the answer."""
        self.response_bytes += len(last)
        self.record()
        sent = self.send_end(last)
        self.finished = True
        return sent

    def respond(
        self, status: int, headers: Headers, body: bytes, length: int | None = None
    ) -> Awaitable[None]:
        """The whole answer at once. ``length`` only where it is not the body's: a HEAD's answer."""
        self.status = status
        if self.added_headers is not None:
            headers = headers + self.added_headers
        size = len(body)
        self.response_bytes = size
        self.first_byte_us = (perf_counter_ns() - self.started) // 1000
        self.record()
        sent = self.send_whole(status, headers, body, size if length is None else length)
        self.finished = True
        return sent

    # The record

    def record(self) -> None:
        """Writes the usage event, once: before the answer's last byte, or when it has failed."""
        if not self.recorded and self.tenant is not None and self.journal is not None:
            self.recorded = True
            if self.reservation is not None:
                self.reservation.close(self)
            self.journal.append(self.event(), self.slot)

    def begin(self) -> None:
        """To be called before anything is sent upstream. Raises UsageUnrecordable.

        From here on the call is recorded, though the gateway may be killed.
        """
        if self.slot is None and self.journal is not None:
            self.slot = self.journal.begin(self.outline())

    def outline(self) -> UsageEvent | tuple[Any, ...]:
        """The usage event, or its first fields, as known before the call goes upstream."""
        if self.prompt_id or self.end_user:
            return self.event()
        tenant, api, route = self.tenant, self.api, self.route
        caller, use = self.caller, self.subscription
        fields = (
            self.id,
            self.at,
            tenant.id if tenant is not None else "",
            self.method,
            self.path[:512],
            0,
            "",
            api.id if api is not None else "",
            route.id if route is not None else "",
            caller.application_id if caller is not None else "",
            caller.key_id if caller is not None else "",
            use.plan_id if use is not None else "",
        )
        if not self.model_id:
            return fields
        return *fields, 0, 0, 0, 0, 0, False, False, self.model_id, self.model

    @property
    def path(self) -> str:
        """As called, decoded."""
        path = self.raw_path.decode("latin-1")
        return unquote(path) if "%" in path else path

    def event(self) -> UsageEvent:
        """The usage event as things stand now."""
        tenant, api, route = self.tenant, self.api, self.route
        caller, use = self.caller, self.subscription
        fields = (
            self.id,
            self.at,
            tenant.id if tenant is not None else "",
            self.method,
            self.path[:512],
            self.status or CLIENT_GONE_STATUS,
            self.error_code,
            api.id if api is not None else "",
            route.id if route is not None else "",
            caller.application_id if caller is not None else "",
            caller.key_id if caller is not None else "",
            use.plan_id if use is not None else "",
            self.request_bytes,
            self.response_bytes,
            (perf_counter_ns() - self.started) // 1000,
            self.upstream_us,
            self.first_byte_us,
            self.streamed,
            self.abandoned,
        )
        if not self.model_id and not self.prompt_id and not self.model:
            return UsageEvent(*fields, attempts=self.attempts, end_user=self.end_user)
        return UsageEvent(
            *fields,
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
            self.attempts,
            self.end_user,
            self.routed,
            self.adapted,
            self.cache_write_tokens,
            self.saved_micros,
            self.measured,
        )
