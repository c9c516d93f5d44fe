"""Just enough HTTP over ASGI for the sandbox: one request in, one answer out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_BODY = 32 * 1024 * 1024

_json = msgspec.json.Encoder()


class ClientGone(Exception):
    """The caller left before its request was complete or before the answer was."""


class Refused(Exception):
    """A request that cannot be served; each service renders it in its own error shape."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.headers = dict(headers or {})


class Request(Struct):
    scope: Scope
    receive: Receive
    send: Send

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def segments(self) -> list[str]:
        """The path's segments, percent-decoded after splitting."""
        raw: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        return [unquote(part) for part in raw.decode("latin-1").split("/")[1:]]

    def query(self, name: str) -> str | None:
        """The last value of a query parameter, or None."""
        values = parse_qs(self.scope["query_string"].decode("latin-1")).get(name)
        return values[-1] if values else None

    async def body(self) -> bytes:
        """Raises Refused past ``MAX_BODY`` and ClientGone."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY:
                raise Refused(413, "body_too_large", f"At most {MAX_BODY} bytes are accepted.")
            if not message.get("more_body"):
                return b"".join(parts)

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
            }
        )

    async def write(self, data: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(
        self, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """A whole JSON answer; for HEAD, its head with the length that GET would have had."""
        data = _json.encode(value)
        head = {"content-type": "application/json", "content-length": str(len(data))}
        await self.start(status, (head | dict(headers or {})).items())
        await self.write(b"" if self.method == "HEAD" else data, more=False)

    async def no_content(self) -> None:
        await self.start(204, ())
        await self.write(b"", more=False)


def allow(request: Request, *methods: str) -> None:
    """Raises Refused 405 with an Allow field; GET allows HEAD."""
    allowed = [*methods, "HEAD"] if "GET" in methods else list(methods)
    if request.method not in allowed:
        raise Refused(
            405,
            "method_not_allowed",
            f"{request.method} is not possible here, only {', '.join(allowed)}.",
            headers={"allow": ", ".join(allowed)},
        )


def clip(text: str, length: int) -> str:
    """The text on one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Raises Refused 400 naming the field, as far as it is known."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        missing = re.search(r"field `(\w+)`", message)
        param = path.strip("`.[") or (missing[1] if missing else None)
        raise Refused(400, "invalid_request", message, param=param) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, "invalid_json", f"The body is not JSON: {error}") from error
