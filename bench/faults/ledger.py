"""The upstream of the fault runs, which counts what it answers. That count is the ledger.

A call is answered once the upstream has begun to answer it, whether or not anybody is there
to read: so a provider bills. The number that the client gave the call is in its
``User-Agent``, which the gateway passes on to services and to AI providers.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field

DELAY = 0.02
"""Seconds until an answer, so that there are always calls under way."""

_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_number = re.compile(rb"\r\nuser-agent: *faults/(\d+)", re.IGNORECASE).search
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def tokens(number: int) -> tuple[int, int]:
    """Input and output tokens of the answer to a call: different ones for different calls."""
    return 5 + number % 11, 1 + number % 7


@dataclass
class Ledger:
    """``rest``, ``chat`` and ``streams`` count the answers to each call, by its number.

    ``left`` holds, for each stream whose client went away, when the upstream noticed
    (``time.monotonic``). ``slow``: seconds between the pieces of a stream.
    """

    rest: Counter[int] = field(default_factory=Counter)
    chat: Counter[int] = field(default_factory=Counter)
    streams: Counter[int] = field(default_factory=Counter)
    left: dict[int, float] = field(default_factory=dict)
    slow: float = 0.0
    port: int = 0

    @property
    def answered(self) -> int:
        return self.rest.total() + self.chat.total() + self.streams.total()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found, number = _length(head), _number(head)
                body = await reader.readexactly(int(found[1])) if found else b""
                await asyncio.sleep(DELAY)
                await self._answer(head, body, int(number[1]) if number else -1, writer, reader)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self,
        head: bytes,
        body: bytes,
        number: int,
        writer: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
    ) -> None:
        if not head.startswith(b"POST "):
            self.rest[number] += 1
            writer.write(_whole({"number": number}))
        elif json.loads(body).get("stream"):
            self.streams[number] += 1
            await self._stream(number, writer, reader)
        else:
            self.chat[number] += 1
            message = {"role": "assistant", "content": "Yes."}
            writer.write(
                _whole({"choices": [{"index": 0, "message": message}], "usage": _usage(number)})
            )

    async def _stream(
        self, number: int, writer: asyncio.StreamWriter, reader: asyncio.StreamReader
    ) -> None:
        """Each piece says what was used so far, as some providers do."""
        writer.write(_STREAM)
        for _ in range(4 if not self.slow else 100):
            chunk = {"choices": [{"index": 0, "delta": {"content": "."}}], "usage": _usage(number)}
            data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
            if self.slow:
                await asyncio.sleep(self.slow)
                if reader.at_eof():
                    self.left[number] = time.monotonic()
                    raise ConnectionResetError
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def _usage(number: int) -> dict[str, int]:
    given, made = tokens(number)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _whole(answer: dict[str, object]) -> bytes:
    body = json.dumps(answer).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
