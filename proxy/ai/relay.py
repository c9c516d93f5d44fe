"""Passes a provider's answer on to a client that speaks the same format, byte for byte.

Of the headers only what describes the body goes on: the others speak of the provider's
account, not of the client's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.ai import cut_off, delivered, tap, usages
from proxy.ai.calls import account, field, has_message, lost, note_error
from proxy.ai.formats.operations import family
from proxy.ai.middle import Fault
from proxy.errors import Headers, UpstreamError
from proxy.shapes import render

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.calls import Attempt
    from proxy.exchange import Exchange
    from proxy.upstream.pool import Response

USAGE_LIMIT, PICTURES_LIMIT = 16_777_216, 67_108_864
"""Bytes of a whole answer up to which its usage is looked for; of one with pictures."""


async def relay(exchange: Exchange, asking: Asking, attempt: Attempt) -> None:
    """Writes the whole answer and accounts for it, however far it came."""
    response = attempt.response
    if response.status >= 400:
        await _error(exchange, asking, attempt)
    elif (field(response, b"content-type") or b"").startswith(b"text/event-stream"):
        await _stream(exchange, asking, attempt)
    else:
        await _whole(exchange, asking, attempt)


async def _whole(exchange: Exchange, asking: Asking, attempt: Attempt) -> None:
    response, deployment = attempt.response, attempt.deployment
    headers = [(b"content-type", field(response, b"content-type") or b"application/json")]
    read = delivered.reader(asking) if asking.keep is None else asking.keep.read
    if response.complete:
        body = response.take()
        account(exchange, deployment, read(body))
        await exchange.respond(response.status, headers, body)
        return
    limit = PICTURES_LIMIT if asking.door.ability == "images" else USAGE_LIMIT
    try:
        await exchange.start(response.status, headers, response.length)
        body, last = await _pieces(exchange, response, limit)
    except BaseException:  # The client may have left.
        lost(exchange, deployment, attempt.told.body, exchange.response_bytes)
        raise
    account(exchange, deployment, read(body))
    await exchange.finish(last)


async def _pieces(exchange: Exchange, response: Response, limit: int) -> tuple[bytes, bytes]:
    """Writes a body as it comes. Returns it, up to the limit, and its last piece, which is still
    to be written."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response:
        size += len(chunk)
        if size <= limit:
            parts.append(chunk)
        if response.complete:
            return b"".join(parts), chunk
        await exchange.write(chunk)
    return b"".join(parts), b""


async def _stream(exchange: Exchange, asking: Asking, attempt: Attempt) -> None:
    response = attempt.response
    exchange.streamed = True
    read = delivered.reader(asking) if asking.keep is None else asking.keep.read
    watch = tap.StreamTap(usages.mark(asking.format), read, drop_usage=asking.ask_usage)
    content_type = field(response, b"content-type") or b"text/event-stream"
    sample = response.peek()
    whole = False
    try:
        await exchange.start(
            response.status, [(b"content-type", content_type), (b"cache-control", b"no-cache")]
        )
        last = await exchange.pour(response, watch.feed, watch)
        last = watch.feed(last) + watch.end() if last else watch.end()
        whole = True
    except UpstreamError as error:
        last = broken(exchange, error, watch)
    finally:
        usage = watch.usage
        if not whole:
            sent, passed = attempt.told.body, exchange.response_bytes
            usage = cut_off.usage_of(asking.format, sent, sample, passed, usage)
            exchange.guessed = usage != watch.usage
        account(exchange, attempt.deployment, usage)
    await exchange.finish(last)


def broken(exchange: Exchange, error: UpstreamError, watch: tap.StreamTap) -> bytes:
    """The last event of a stream that the provider broke off."""
    exchange.error_code = error.code
    _, body = render(error, exchange)
    name = b"event: error\n" if exchange.raw_path.startswith(b"/v1/messages") else b""
    return (b"" if watch.blank else b"\n\n") + name + b"data: " + body + b"\n\n"


async def _error(exchange: Exchange, asking: Asking, attempt: Attempt) -> None:
    """Status, body and Retry-After as the provider sent them, or an error for the client's format
    where it has no shape that a client could read."""
    response, body = attempt.response, attempt.body
    note_error(exchange, response.status)
    if not has_message(body):
        ours = family(asking.format)
        if body.startswith(b"{") and b'"message"' in body:
            fault = ours.read_fault(response.status, {}, body)
        else:
            text = f"The AI provider answered {response.status} without saying why."
            fault = Fault(status=response.status, message=text)
        if not fault.kind and response.status >= 500:
            fault.kind = "server_error"
        fault.code = fault.code or exchange.error_code
        body = ours.write_fault(fault)
    headers: Headers = [(b"content-type", b"application/json")]
    for name in (b"retry-after", b"retry-after-ms"):
        hint = field(response, name)
        if hint is not None:
            headers.append((name, hint))
    await exchange.respond(response.status, headers, body)
