"""HTTP/1.1 by hand: a strict reader that says what a message means, and a raw client.

The reader is written from RFC 9112 and from what the gateway promises, and shares nothing
with it: where both read the same bytes, neither can be talked into a request of its own.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Self

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# llhttp takes more spaces, and the other two for HTTP, with the same meaning.
_request_line = re.compile(rb"([A-Z-]+) +([!-~]+) +(?:HTTP|ICE|RTSP)/1\.([01])").fullmatch
_header = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)").fullmatch
_quoted = rb'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
_chunk_line = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + _quoted + rb"))?)*"
).fullmatch
RTSP_ONLY = b"ANNOUNCE DESCRIBE SETUP PLAY PAUSE TEARDOWN GET_PARAMETER FLUSH RECORD".split()


class Bad(Exception):
    """These bytes must be refused."""


class More(Exception):
    """These bytes are the beginning of a request."""


@dataclass
class Request:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    last: bool = False
    """The connection ends with its answer."""

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


def read_requests(data: bytes) -> tuple[list[Request], str]:
    """The requests in ``data``, and what is left: ``end``, ``more``, ``bad`` or ``closed``."""
    requests: list[Request] = []
    at = 0
    while True:
        while data[at : at + 1] in (b"\r", b"\n"):
            at += 1
        if at == len(data):
            return requests, "end"
        try:
            request, at = _read_request(data, at)
        except Bad:
            return requests, "bad"
        except More:
            return requests, "more"
        requests.append(request)
        if request.last:
            return requests, "closed"


def _read_request(data: bytes, at: int) -> tuple[Request, int]:
    head, empty, _ = data[at:].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not empty:
        if lines[1:] and not all(map(_header, lines[1:-1])):
            raise Bad
        raise More
    start = _request_line(lines[0])
    if start is None:
        raise Bad
    method, target, minor = start.groups()
    pairs = []
    for line in lines[1:]:
        found = _header(line)
        if found is None:
            raise Bad
        name, value = found.groups()
        pairs.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
    request = Request(method.decode(), target.decode(), pairs)
    _judge(request, old=minor == b"0")
    at += len(head) + 4
    codings, lengths = request.values("transfer-encoding"), request.values("content-length")
    options = {word.strip().lower() for field in request.values("connection")
               for word in field.split(",")}  # fmt: skip
    upgrade = "upgrade" in options and bool(request.values("upgrade"))
    if codings or lengths:
        if upgrade:
            raise Bad
        request.body, at = _chunked(data, at) if codings else _counted(data, at, int(lengths[0]))
    request.last = upgrade or minor == b"0" or "close" in options
    return request, at


def _judge(request: Request, *, old: bool) -> None:
    hosts, codings = request.values("host"), request.values("transfer-encoding")
    lengths = request.values("content-length")
    if len(hosts) > 1 or (not hosts and not old):
        raise Bad
    if hosts and not re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*", hosts[0]):
        raise Bad
    if codings and (lengths or old or [coding.lower() for coding in codings] != ["chunked"]):
        raise Bad
    if len(lengths) > 1 or (lengths and not re.fullmatch("[0-9]{1,19}", lengths[0])):
        raise Bad
    if request.method in ("CONNECT", "PRI") or request.method.encode() in RTSP_ONLY:
        raise Bad
    if not request.target.startswith("/"):
        authority = re.match("https?://([^/?#@]+)([/?#]|$)", request.target)
        if authority is None or authority[1] != hosts[0]:
            raise Bad


def _counted(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if len(data) - at < length:
        raise More
    return data[at : at + length], at + length


def _chunked(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, end, _ = data[at:].partition(b"\r\n")
        if not end:
            raise More
        found = _chunk_line(line)
        if found is None:
            raise Bad
        at += len(line) + 2
        size = int(found[1], 16)
        if size == 0:
            break
        piece, at = _counted(data, at, size)
        body += piece
        if len(data) - at < 2:
            raise More
        if data[at : at + 2] != b"\r\n":
            raise Bad
        at += 2
    while True:
        line, end, _ = data[at:].partition(b"\r\n")
        if not end:
            raise More
        at += len(line) + 2
        if not line:
            return body, at
        if _header(line) is None:
            raise Bad


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    version: str = "1.1"

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def value(self, name: str) -> str | None:
        return next(iter(self.values(name)), None)


class Wire:
    """A client that sends any bytes and reads answers strictly. Every wait is bounded."""

    def __init__(self, port: int, patience: float = 10.0) -> None:
        self.port = port
        self.patience = patience

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer, without those that are interim."""
        return await asyncio.wait_for(self._answer(method), self.patience)

    async def closed(self) -> bool:
        """The gateway closes, and has nothing more to say."""
        try:
            rest = await asyncio.wait_for(self.reader.read(), self.patience)
        except ConnectionResetError:
            return True
        assert rest == b"", rest
        return True

    async def _answer(self, method: str) -> Answer:
        answer = await self._head()
        while answer.status < 200:
            answer = await self._head()
        lengths, codings = answer.values("content-length"), answer.values("transfer-encoding")
        assert len(lengths) + len(codings) < 2, answer
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if codings:
            assert codings == ["chunked"]
            while size := int((await self._line()), 16):
                answer.body += await self.reader.readexactly(size)
                assert await self._line() == b""
            assert await self._line() == b""
        elif lengths:
            answer.body = await self.reader.readexactly(int(lengths[0]))
        else:
            answer.body = await self.reader.read()
        return answer

    async def _head(self) -> Answer:
        line = await self._line()
        assert re.match(rb"HTTP/1\.1 [1-9][0-9]{2} ", line), line
        answer = Answer(int(line[9:12]))
        while line := await self._line():
            found = _header(line)
            assert found is not None, line
            name, value = found.groups()
            answer.headers.append((name.decode().lower(), value.decode("latin-1")))
        return answer

    async def _line(self) -> bytes:
        line = await self.reader.readuntil(b"\r\n")
        return line[:-2]
