"""Anthropic's batches of messages, for clients of OpenAI's files and batches.

Anthropic takes a batch whole and keeps no file for one: the gateway keeps it, translated, until the
batch is created (``shelf``). Each line goes through the middle form, as single calls do, and so
does each answer on its way back. Nothing that Anthropic keeps can bear a mark, so that what there
is to know of a batch is in the id that its client has.

Source: Anthropic's API reference, message batches, and the types of its Python SDK.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from proxy.ai import values
from proxy.ai.batches.errors import BatchesUnavailable, BatchLineInvalid, FileNotFound
from proxy.ai.batches.keepers.line import Line, lines_of
from proxy.ai.batches.places import Desk, Place, encode, read
from proxy.ai.errors import AnswerUnreadable, InvalidRequest
from proxy.ai.formats.chat import write_answer, write_fault
from proxy.ai.formats.messages import LACKS, NAME, read_answer, write_request
from proxy.ai.formats.messages.faults import fault_in
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Request, rules

if TYPE_CHECKING:
    from proxy.ai.batches.marks import Mark
    from proxy.ai.batches.shelf import Kept, Shelf
    from proxy.ai.middle.rules import Notes

LISTS = False
ENDPOINT = "/v1/chat/completions"
OUTPUT, ERRORS = "output", "errors"
"""What the files of a batch's results are called here."""
_PLAIN_ID = re.compile(r"(?!hubpo-)[A-Za-z0-9_-]{1,64}")
_MOST_ID = 43
"""Bytes of a ``custom_id`` that Anthropic would not take: written in base64 it has 64."""


class _Result(Struct):
    type: Literal["succeeded", "errored", "canceled", "expired"]
    message: Raw = Raw(b"null")
    error: Any = None


class _Line(Struct):
    custom_id: str
    result: _Result


class _Counts(Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(Struct):
    id: str
    processing_status: Literal["in_progress", "canceling", "ended"]
    created_at: datetime
    request_counts: _Counts = msgspec.field(default_factory=_Counts)
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_initiated_at: datetime | None = None


_decode = msgspec.json.Decoder(_Line).decode


def write(line: Line, place: Place, notes: Notes) -> bytes:
    if line.url != ENDPOINT:
        raise BatchLineInvalid(
            line.number, f"the model '{line.asked.model[:100]}' cannot be asked for {line.url}."
        )
    values.check(line.body)
    request = FORMATS["chat"].read_request(line.body)
    if request.stream:
        raise BatchLineInvalid(line.number, "a batch answers whole: leave 'stream' out.")
    rules.foreign(request, NAME, notes)
    rules.apply(request, LACKS, notes)
    params = write_request(request, place.deployment.deployment.model, notes)
    return encode({"custom_id": _id_told(line), "params": Raw(params)}) + b"\n"


def _id_told(line: Line) -> str:
    told = _encoded(line)
    if told in line.ids:
        raise BatchLineInvalid(line.number, f"its custom_id '{line.custom_id}' is there twice.")
    line.ids.add(told)
    return told


def _encoded(line: Line) -> str:
    given = line.custom_id
    if _PLAIN_ID.fullmatch(given):
        return given
    text = given.encode("utf-8", "surrogatepass")
    if not 0 < len(text) <= _MOST_ID:
        raise BatchLineInvalid(
            line.number,
            f"its custom_id must have 1 to 64 letters, digits, - and _, or {_MOST_ID} bytes.",
        )
    return "hubpo-" + urlsafe_b64encode(text).rstrip(b"=").decode()


def _id_read(told: str) -> str:
    if not told.startswith("hubpo-"):
        return told
    text = told.removeprefix("hubpo-")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("utf-8", "surrogatepass")
    except ValueError:
        return told


# Files


def _shelf(desk: Desk) -> Shelf:
    shelf = desk.gateway.batches.shelf
    if shelf is None:
        raise BatchesUnavailable
    return shelf


async def put(
    desk: Desk, place: Place, name: str, spool: IO[bytes], size: int, form: dict[str, bytes]
) -> dict[str, Any]:
    identifier = token_hex(12)
    kept = await _shelf(desk).put(desk.tenant.id, identifier, name, spool, size)
    return _told(identifier, kept)


def _told(identifier: str, kept: Kept) -> dict[str, Any]:
    return {
        "id": identifier,
        "object": "file",
        "bytes": kept.size,
        "created_at": kept.at,
        "filename": kept.name,
        "purpose": "batch",
        "status": "processed",
    }


async def _find(desk: Desk, mark: Mark) -> Kept:
    kept = await _shelf(desk).find(desk.tenant.id, mark.id)
    if kept is None:
        raise FileNotFound("The file is gone: it waits a day for its batch. Upload it again.")
    return kept


async def file(desk: Desk, place: Place, mark: Mark) -> dict[str, Any]:
    if not mark.batch:
        return _told(mark.id, await _find(desk, mark))
    told = await batch(desk, place, mark.batch)
    if mark.id not in (told["output_file_id"], told["error_file_id"]):
        raise FileNotFound
    return {
        "id": mark.id,
        "object": "file",
        "bytes": 0,
        "created_at": told["created_at"],
        "filename": f"batch_{mark.id}.jsonl",
        "purpose": "batch_output",
        "status": "processed",
    }


async def delete(desk: Desk, place: Place, mark: Mark) -> dict[str, Any]:
    if mark.batch:
        raise InvalidRequest("The results of this batch are the provider's to delete.", "file_id")
    if not await _shelf(desk).remove(desk.tenant.id, mark.id):
        raise FileNotFound
    return {"id": mark.id, "object": "file", "deleted": True}


async def send(desk: Desk, place: Place, mark: Mark) -> None:
    exchange = desk.exchange
    if mark.batch:
        pieces = _results(desk, place, mark)
    else:
        kept = await _find(desk, mark)
        pieces = _shelf(desk).pieces(desk.tenant.id, mark.id, kept)
    # What fails at once is told with its status.
    first = await anext(pieces, b"")
    await exchange.start(200, [(b"content-type", b"application/jsonl")])
    await exchange.write(first)
    async for piece in pieces:
        await exchange.write(piece)
    await exchange.finish()


async def _results(desk: Desk, place: Place, mark: Mark) -> AsyncIterator[bytes]:
    """Of the good answers, or of the others, each as a line of OpenAI's file."""
    async for line in _lines(desk, place, mark.batch):
        good = line.result.type == "succeeded"
        if good == (mark.id == OUTPUT):
            yield encode(_result(line, place.model.name, mark.batch)) + b"\n"


def _result(line: _Line, model: str, batch_id: str) -> dict[str, Any]:
    custom_id, result = _id_read(line.custom_id), line.result
    written: dict[str, Any] = {
        "id": f"batch_req_{batch_id}_{line.custom_id}"[:128],
        "custom_id": custom_id,
        "response": None,
        "error": None,
    }
    if result.type == "succeeded":
        answer = read_answer(bytes(result.message))
        answer.model = model
        body = write_answer(answer, Request(format="chat", model=model, messages=[]))
        written["response"] = _response(200, answer.id, Raw(body))
    elif result.type == "errored":
        fault = fault_in(result.error)
        written["response"] = _response(fault.status, "", Raw(write_fault(fault)))
    else:
        code = "batch_expired" if result.type == "expired" else "batch_cancelled"
        written["error"] = {"code": code, "message": "This request was not executed."}
    return written


def _response(status: int, identifier: str, body: Raw) -> dict[str, Any]:
    return {"status_code": status, "request_id": identifier, "body": body}


# Batches


async def create(desk: Desk, place: Place, file: Mark, asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("endpoint") != ENDPOINT:
        raise InvalidRequest(f"The field 'endpoint' must be '{ENDPOINT}'.", "endpoint")
    if asked.get("completion_window") != "24h":
        raise InvalidRequest("The field 'completion_window' must be '24h'.", "completion_window")
    kept = await _find(desk, file)
    pieces = _shelf(desk).pieces(desk.tenant.id, file.id, kept)
    sent = [(b"content-type", b"application/json"), (b"content-length", b"%d" % _length(kept))]
    path = _path(place, "")
    return _batch(await read(await desk.ask(place, "POST", path, _body(pieces), sent)))


_HEAD, _TAIL = b'{"requests":[', b"]}"


def _length(kept: Kept) -> int:
    return len(_HEAD) + kept.size - 1 + len(_TAIL)


async def _body(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In JSON a line's end is between values only: each is a comma, but for the last."""
    held = _HEAD
    async for piece in pieces:
        yield held
        held = piece.replace(b"\n", b",")
    yield held[:-1] + _TAIL


async def batch(desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
    return _batch(await desk.told(place, "GET", _path(place, identifier)))


async def cancel(desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
    return _batch(await desk.told(place, "POST", f"{_path(place, identifier)}/cancel"))


def _batch(told: dict[str, Any]) -> dict[str, Any]:
    """As OpenAI tells of one. Raises AnswerUnreadable."""
    try:
        said = msgspec.convert(told, _Batch)
    except msgspec.ValidationError as error:
        raise AnswerUnreadable from error
    counts, status, ended = said.request_counts, said.processing_status, _second(said.ended_at)
    failed = counts.errored + counts.canceled + counts.expired
    shown: dict[str, Any] = {
        "id": said.id,
        "object": "batch",
        "endpoint": ENDPOINT,
        "errors": None,
        "input_file_id": "",
        "completion_window": "24h",
        "status": {"in_progress": "in_progress", "canceling": "cancelling"}.get(status, ""),
        "output_file_id": OUTPUT if status == "ended" and counts.succeeded else None,
        "error_file_id": ERRORS if status == "ended" and failed else None,
        "created_at": _second(said.created_at),
        "in_progress_at": _second(said.created_at),
        "expires_at": _second(said.expires_at),
        "cancelling_at": _second(said.cancel_initiated_at),
        "request_counts": {
            "total": failed + counts.succeeded + counts.processing,
            "completed": counts.succeeded,
            "failed": failed,
        },
        "metadata": None,
    }
    if status == "ended":
        name = "completed"
        if said.cancel_initiated_at is not None and counts.canceled:
            name = "cancelled"
        elif counts.expired:
            name = "expired"
        shown["status"] = name
        shown[f"{name}_at"] = ended
    return shown


def _second(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment is not None else None


async def answers(desk: Desk, place: Place, batch: dict[str, Any]) -> AsyncIterator[bytes]:
    async for line in _lines(desk, place, batch["id"]):
        if line.result.type == "succeeded":
            yield bytes(line.result.message)


def format(batch: dict[str, Any]) -> str:  # noqa: A001
    return NAME


async def _lines(desk: Desk, place: Place, identifier: str) -> AsyncIterator[_Line]:
    response = await desk.ask(place, "GET", f"{_path(place, identifier)}/results")
    async for line in lines_of(response):
        try:
            yield _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise AnswerUnreadable from error


def _path(place: Place, identifier: str) -> str:
    version = "" if place.deployment.provider.destination.base.endswith("/v1") else "/v1"
    path = f"{version}/messages/batches"
    return f"{path}/{quote(identifier, safe='')}" if identifier else path
