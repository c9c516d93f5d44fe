"""Anthropic's batches of messages: a batch is created with all of its requests.

Source: Anthropic's API reference, message batches, and the types of its Python SDK.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from proxy.ai.batches.errors import BatchLineInvalid
from proxy.ai.batches.keepers import kept
from proxy.ai.batches.keepers.kept import ERRORS, OUTPUT, Result
from proxy.ai.batches.keepers.line import Line, lines_of
from proxy.ai.batches.places import Desk
from proxy.ai.errands import Place, encode, read
from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.messages.faults import fault_in

_HEAD, _TAIL = b'{"requests":[', b"]}"
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


class Messages(kept.Keeper):
    def told(self, line: Line, params: bytes) -> bytes:
        told = _id_told(line)
        if told in line.ids:
            raise BatchLineInvalid(line.number, f"its custom_id '{line.custom_id}' is there twice.")
        line.ids.add(told)
        return encode({"custom_id": told, "params": Raw(params)})

    async def begin(
        self, desk: Desk, place: Place, size: int, pieces: AsyncIterator[bytes]
    ) -> dict[str, Any]:
        length = len(_HEAD) + size - 1 + len(_TAIL)
        sent = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
        return _batch(await read(await desk.ask(place, "POST", _path(place), _body(pieces), sent)))

    async def batch(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
        return _batch(await desk.told(place, "GET", _path(place, identifier)))

    async def cancel(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
        return _batch(await desk.told(place, "POST", f"{_path(place, identifier)}/cancel"))

    async def results(self, desk: Desk, place: Place, identifier: str) -> AsyncIterator[Result]:
        response = await desk.ask(place, "GET", f"{_path(place, identifier)}/results")
        async for line in lines_of(response):
            try:
                said = _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise AnswerUnreadable from error
            yield _result(said)


def _result(line: _Line) -> Result:
    custom_id, result = _id_read(line.custom_id), line.result
    if result.type == "succeeded":
        return Result(custom_id, bytes(result.message))
    if result.type == "errored":
        return Result(custom_id, fault=fault_in(result.error))
    return Result(custom_id, code=f"batch_{result.type}".replace("canceled", "cancelled"))


def _id_told(line: Line) -> str:
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


async def _body(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In JSON a line's end is between values only: each is a comma, but for the last."""
    held = _HEAD
    async for piece in pieces:
        yield held
        held = piece.replace(b"\n", b",")
    yield held[:-1] + _TAIL


def _batch(told: dict[str, Any]) -> dict[str, Any]:
    """Raises AnswerUnreadable."""
    try:
        said = msgspec.convert(told, _Batch)
    except msgspec.ValidationError as error:
        raise AnswerUnreadable from error
    counts, over = said.request_counts, said.processing_status == "ended"
    failed = counts.errored + counts.canceled + counts.expired
    times = {
        "created": _second(said.created_at),
        "in_progress": _second(said.created_at),
        "expires": _second(said.expires_at),
        "cancelling": _second(said.cancel_initiated_at),
    }
    status = "cancelling" if said.processing_status == "canceling" else "in_progress"
    if over:
        status = "completed"
        if said.cancel_initiated_at is not None and counts.canceled:
            status = "cancelled"
        elif counts.expired:
            status = "expired"
        times[status] = _second(said.ended_at)
    return kept.shown(
        said.id,
        status,
        times,
        output_file_id=OUTPUT if over and counts.succeeded else None,
        error_file_id=ERRORS if over and failed else None,
        request_counts=kept.counts(
            failed + counts.succeeded + counts.processing, counts.succeeded, failed
        ),
    )


def _second(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment is not None else None


def _path(place: Place, identifier: str = "") -> str:
    version = "" if place.deployment.provider.destination.base.endswith("/v1") else "/v1"
    path = f"{version}/messages/batches"
    return f"{path}/{quote(identifier, safe='')}" if identifier else path
