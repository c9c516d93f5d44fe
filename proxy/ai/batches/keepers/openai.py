"""Providers of OpenAI's own files and batches: what they are told is what their clients say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from proxy.ai import doors, passing
from proxy.ai.batches.errors import BatchLineInvalid
from proxy.ai.batches.keepers.line import Line, lines_of
from proxy.ai.batches.places import Desk
from proxy.ai.calls import field
from proxy.ai.errands import Place, encode, read
from proxy.ai.errors import AnswerUnreadable
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.batches.marks import Mark
    from proxy.ai.middle.rules import Notes

LISTS = True
_PIECE = 65_536
_PASSED_ON = ("expires_after[anchor]", "expires_after[seconds]")


class _Response(Struct):
    body: Raw = Raw(b"null")
    status_code: int = 0


class _Answer(Struct):
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def write(line: Line, place: Place, notes: Notes) -> bytes:
    to = place.deployment.provider.destination
    if line.door.format not in to.wire.speaks(to, line.door.operation):
        raise BatchLineInvalid(
            line.number, f"the model '{line.asked.model[:100]}' cannot be asked for {line.url}."
        )
    deployment = place.deployment
    told = passing.prepare(
        line.body,
        line.asked,
        deployment.deployment.model,
        deployment.quirks,
        line.door.format,
        notes,
        ask_usage=False,
    )
    return encode({**line.fields, "body": Raw(told)}) + b"\n"


async def put(
    desk: Desk, place: Place, name: str, spool: IO[bytes], size: int, form: dict[str, bytes]
) -> dict[str, Any]:
    boundary = f"hubpo-{token_hex(16)}"
    head = b"".join(
        _field(boundary, name, value)
        for name, value in form.items()
        if name in ("purpose", *_PASSED_ON)
    )
    head += (
        b'--%b\r\ncontent-disposition: form-data; name="file"; filename="%b"\r\n'
        b"content-type: application/jsonl\r\n\r\n"
    ) % (boundary.encode(), name.encode())
    tail = b"\r\n--%b--\r\n" % boundary.encode()
    headers: Headers = [
        (b"content-type", b"multipart/form-data; boundary=" + boundary.encode()),
        (b"content-length", b"%d" % (len(head) + size + len(tail))),
    ]
    spool.seek(0)
    return await read(await desk.ask(place, "POST", "/files", _body(head, spool, tail), headers))


async def _body(head: bytes, spool: IO[bytes], tail: bytes) -> AsyncIterator[bytes]:
    yield head
    while piece := spool.read(_PIECE):
        yield piece
    yield tail


def _field(boundary: str, name: str, value: bytes) -> bytes:
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n'
    return head.encode() + value + b"\r\n"


async def file(desk: Desk, place: Place, mark: Mark) -> dict[str, Any]:
    return await desk.told(place, "GET", _path("files", mark.id))


async def delete(desk: Desk, place: Place, mark: Mark) -> dict[str, Any]:
    return await desk.told(place, "DELETE", _path("files", mark.id))


async def send(desk: Desk, place: Place, mark: Mark) -> None:
    response = await desk.ask(place, "GET", f"{_path('files', mark.id)}/content")
    exchange = desk.exchange
    try:
        kind = field(response, b"content-type") or b"application/octet-stream"
        await exchange.start(200, [(b"content-type", kind)], response.length)
        last = await exchange.pour(response, None)
        await exchange.finish(last)
    finally:
        response.close()


async def create(desk: Desk, place: Place, file: Mark, asked: dict[str, Any]) -> dict[str, Any]:
    body = encode({**asked, "input_file_id": file.id})
    return await desk.told(place, "POST", "/batches", body)


async def batch(desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
    return await desk.told(place, "GET", _path("batches", identifier))


async def cancel(desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
    return await desk.told(place, "POST", f"{_path('batches', identifier)}/cancel")


async def answers(desk: Desk, place: Place, batch: dict[str, Any]) -> AsyncIterator[bytes]:
    path = f"{_path('files', batch['output_file_id'])}/content"
    async for line in lines_of(await desk.ask(place, "GET", path)):
        try:
            said = _decode(line).response
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AnswerUnreadable from error
        if said is not None and said.status_code == 200:
            yield bytes(said.body)


def format(batch: dict[str, Any]) -> str:  # noqa: A001
    door = doors.find(str(batch.get("endpoint", "")).removeprefix("/v1"))
    return door[0].format if door is not None else "chat"


def _path(what: str, identifier: str) -> str:
    return f"/{what}/{quote(identifier, safe='')}"
