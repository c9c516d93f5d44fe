"""Passes a provider's answer on to a client that speaks the same format, byte for byte.

Of the headers only what describes the body goes on: the others speak of the provider's
account, not of the client's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from proxy.ai import tap
from proxy.ai.calls import account, field, read_error
from proxy.errors import Headers, UpstreamError, render

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.runtime import DeploymentRuntime
    from proxy.upstream.pool import Response

USAGE_LIMIT = 16_777_216
"""Bytes of a whole answer up to which its usage is looked for."""

_encode = msgspec.json.Encoder().encode


async def relay(
    exchange: Exchange,
    response: Response,
    deployment: DeploymentRuntime,
    *,
    drop_usage: bool,
    embeddings: bool,
) -> None:
    """Writes the whole answer and accounts for it, however far it came.

    ``drop_usage``: take the usage chunk out of a stream. ``embeddings``: an answer with no
    output tokens has none, rather than an unknown number.
    """
    try:
        if response.status >= 400:
            await _error(exchange, response)
        elif (field(response, b"content-type") or b"").startswith(b"text/event-stream"):
            await _stream(exchange, response, deployment, drop_usage)
        else:
            await _whole(exchange, response, deployment, embeddings)
    finally:
        response.close()


async def _whole(
    exchange: Exchange, response: Response, deployment: DeploymentRuntime, embeddings: bool
) -> None:
    headers = [(b"content-type", field(response, b"content-type") or b"application/json")]
    if response.complete:
        body = response.take()
        account(exchange, deployment, _usage(body, embeddings))
        await exchange.respond(response.status, headers, body)
        return
    await exchange.start(response.status, headers, response.length)
    body, last = await _pieces(exchange, response)
    account(exchange, deployment, _usage(body, embeddings))
    await exchange.finish(last)


async def _pieces(exchange: Exchange, response: Response) -> tuple[bytes, bytes]:
    """Writes a body as it comes. Returns it, as far as it is looked into, and its last piece,
    which is still to be written."""
    parts: list[bytes] = []
    size = 0
    async for chunk in response:
        size += len(chunk)
        if size <= USAGE_LIMIT:
            parts.append(chunk)
        if response.complete:
            return b"".join(parts), chunk
        await exchange.write(chunk)
    return b"".join(parts), b""


def _usage(body: bytes, embeddings: bool) -> tap.Usage | None:
    """What the answer says of its tokens: nothing where it was cut at the limit."""
    usage = tap.read(body).usage
    if usage is not None and embeddings and usage.completion_tokens is None:
        usage.completion_tokens = 0
    return usage


async def _stream(
    exchange: Exchange, response: Response, deployment: DeploymentRuntime, drop_usage: bool
) -> None:
    exchange.streamed = True
    watch = tap.StreamTap(drop_usage=drop_usage)
    content_type = field(response, b"content-type") or b"text/event-stream"
    try:
        await exchange.start(
            response.status, [(b"content-type", content_type), (b"cache-control", b"no-cache")]
        )
        last = await exchange.pour(response, watch.feed)
        last = watch.feed(last) + watch.end() if last else watch.end()
    except UpstreamError as error:
        last = broken(exchange, error, watch)
    finally:
        account(exchange, deployment, watch.usage)
    await exchange.finish(last)


def broken(exchange: Exchange, error: UpstreamError, watch: tap.StreamTap) -> bytes:
    """The last event of a stream that the provider broke off."""
    exchange.error_code = error.code
    _, body = render(error, exchange)
    return (b"" if watch.blank else b"\n\n") + b"data: " + body + b"\n\n"


async def _error(exchange: Exchange, response: Response) -> None:
    """Status, body and Retry-After as the provider sent them, in OpenAI's shape if it was not."""
    body, message = await read_error(exchange, response)
    if message is None:
        text = f"The AI provider answered {response.status} without saying why."
        kind = "server_error" if response.status >= 500 else "invalid_request_error"
        body = _encode(
            {"error": {"message": text, "type": kind, "code": exchange.error_code, "param": None}}
        )
    headers: Headers = [
        (b"content-type", b"application/json"),
    ]
    retry_after = field(response, b"retry-after")
    if retry_after is not None:
        headers.append((b"retry-after", retry_after))
    await exchange.respond(response.status, headers, body)
