"""The upstream behind every subject: answers each case from memory, as cheaply as it can.

A path that ends in ``/item`` is the REST service, one that ends in ``/chat/completions`` the
AI provider, which answers as the question says, and ``/messages`` one that speaks Anthropic's
format. A body that is not the one that was sent is answered with 400. Calls come one at a time on
a connection, as all the subjects send them.
"""

from __future__ import annotations

import asyncio
import re
import sys

import uvloop

from bench.cases import CLAUDE_REPLIES, REPLIES, REST_ANSWER, REST_ORDER, Reply

_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_chunked = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE).search
_wanted = re.compile(rb"\(answer: (\w+)\)").search


def whole(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _writes(reply: Reply) -> list[bytes]:
    """What goes out, write by write; the head goes with the first."""
    if not reply.stream:
        return [whole(reply.pieces[0])]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in reply.pieces]
    return [head + pieces[0], *pieces[1:-1], pieces[-1] + b"0\r\n\r\n"]


ITEM = whole(REST_ANSWER)
WRONG_BODY = whole(b"This is not the body that was sent.", "400 Bad Request")
MISSING = whole(b"", "404 Not Found")
CHATS = {
    path: {name.encode(): (_writes(reply), reply.pace) for name, reply in replies.items()}
    for path, replies in ((b"/chat/completions", REPLIES), (b"/messages", CLAUDE_REPLIES))
}


class Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.received:
            data = self.received + data
        self.received = b""
        head_end = data.find(b"\r\n\r\n") + 4
        if head_end < 4 or not self._is_complete(data, head_end):
            self.received = data
            return
        self._answer(data[: data.find(b"\r\n") - len(b" HTTP/1.1")], data, head_end)

    def _is_complete(self, data: bytes, head_end: int) -> bool:
        if found := _length(data, 0, head_end):
            return len(data) >= head_end + int(found[1])
        return not _chunked(data, 0, head_end) or data.endswith(b"0\r\n\r\n")

    def _answer(self, target: bytes, data: bytes, head_end: int) -> None:
        if target.endswith(b"/item"):
            right = target.startswith(b"GET ") or data[head_end:] == REST_ORDER
            self.transport.write(ITEM if right else WRONG_BODY)
        elif target.endswith(tuple(CHATS)):
            wanted = _wanted(data, head_end)
            if wanted is None:
                self.transport.write(WRONG_BODY)
            else:
                path = next(path for path in CHATS if target.endswith(path))
                self._send(*CHATS[path][wanted[1]])
        else:
            self.transport.write(MISSING)

    def _send(self, writes: list[bytes], pace: float, at: int = 0) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(writes[at])
        at += 1
        if at == len(writes):
            return
        if pace:
            self.loop.call_later(pace, self._send, writes, pace, at)
        else:
            self.loop.call_soon(self._send, writes, pace, at)


async def main(port: int, protocol: type[Upstream] = Upstream) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", port, backlog=8192)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
