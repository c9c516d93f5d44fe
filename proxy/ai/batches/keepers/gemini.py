"""Gemini's batches: a file of requests is uploaded, and a batch is created of it.

Source: Google's Gemini API reference, batches and files (resumable uploads), and its Python SDK,
google-genai.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Raw, Struct, field

from proxy.ai.batches.errors import BatchLineInvalid
from proxy.ai.batches.keepers import kept
from proxy.ai.batches.keepers.kept import ERRORS, OUTPUT, Result
from proxy.ai.batches.keepers.line import Line, lines_of
from proxy.ai.batches.places import Desk
from proxy.ai.calls import field as header
from proxy.ai.errands import JSON, Place, encode, read
from proxy.ai.errors import AnswerUnreadable, ProviderSays
from proxy.ai.middle import Fault
from proxy.errors import Headers

T = TypeVar("T")
_MOST_ID = 512
_HTTP = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 14: 503, 16: 401}
"""HTTP's statuses for the codes of ``google.rpc.Status``, which errors of single requests have."""
_ENDS = {
    "BATCH_STATE_SUCCEEDED": "completed",
    "BATCH_STATE_FAILED": "failed",
    "BATCH_STATE_CANCELLED": "cancelled",
    "BATCH_STATE_EXPIRED": "expired",
}


class _Error(Struct):
    code: int = 0
    message: str = ""


class _Line(Struct):
    key: str
    response: Raw = Raw(b"null")
    error: _Error | None = None


class _Output(Struct, rename="camel"):
    responses_file: str = ""


class _Stats(Struct, rename="camel"):
    """Numbers come as strings, as protobuf's JSON has them."""

    request_count: int = 0
    successful_request_count: int = 0
    failed_request_count: int = 0


class _Metadata(Struct, rename="camel"):
    create_time: datetime
    state: str = ""
    end_time: datetime | None = None
    update_time: datetime | None = None
    output: _Output | None = None
    batch_stats: _Stats = field(default_factory=_Stats)


class _Batch(Struct):
    name: str
    metadata: _Metadata
    response: _Output | None = None

    @property
    def responses_file(self) -> str:
        for output in (self.metadata.output, self.response):
            if output is not None and output.responses_file:
                return output.responses_file
        return ""


class _Uploaded(Struct):
    class File(Struct):
        name: str

    file: File


_decode = msgspec.json.Decoder(_Line).decode


class Gemini(kept.Keeper):
    def told(self, line: Line, params: bytes) -> bytes:
        if not 0 < len(line.custom_id) <= _MOST_ID:
            raise BatchLineInvalid(
                line.number, f"its custom_id must have 1 to {_MOST_ID} characters."
            )
        if line.custom_id in line.ids:
            raise BatchLineInvalid(
                line.number, f"its custom_id '{line.custom_id[:100]}' is there twice."
            )
        line.ids.add(line.custom_id)
        return encode({"key": line.custom_id, "request": Raw(params)})

    async def begin(
        self, desk: Desk, place: Place, size: int, pieces: AsyncIterator[bytes]
    ) -> dict[str, Any]:
        name = await _upload(desk, place, size, pieces)
        model = quote(place.deployment.deployment.model.removeprefix("models/"), safe="")
        asked = {"batch": {"displayName": "batch", "inputConfig": {"fileName": name}}}
        response = await desk.ask(
            place,
            "POST",
            f"/models/{model}:batchGenerateContent",
            encode(asked),
            root=_root(place),
        )
        return _shown(_convert(await read(response), _Batch))

    async def batch(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
        return _shown(await _find(desk, place, identifier))

    async def cancel(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
        path = f"/batches/{quote(identifier, safe='')}:cancel"
        (await desk.ask(place, "POST", path, b"{}", root=_root(place))).close()
        return await self.batch(desk, place, identifier)

    async def results(self, desk: Desk, place: Place, identifier: str) -> AsyncIterator[Result]:
        name = (await _find(desk, place, identifier)).responses_file
        if not name:
            raise ProviderSays(404, "provider_error", [JSON], b"{}")
        path = f"/files/{quote(name.removeprefix('files/'), safe='')}:download?alt=media"
        async for line in lines_of(await desk.ask(place, "GET", path, root=_root(place))):
            try:
                yield _result(_decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise AnswerUnreadable from error


async def _upload(desk: Desk, place: Place, size: int, pieces: AsyncIterator[bytes]) -> str:
    """The file's name there. Raises AnswerUnreadable."""
    root = _root(place)
    place_of_files = f"{root.removesuffix('/v1beta')}/upload/v1beta/files"
    start: Headers = [
        JSON,
        (b"x-goog-upload-protocol", b"resumable"),
        (b"x-goog-upload-command", b"start"),
        (b"x-goog-upload-header-content-length", b"%d" % size),
        (b"x-goog-upload-header-content-type", b"application/jsonl"),
    ]
    about = encode({"file": {"displayName": "batch"}})
    begun = await desk.ask(place, "POST", place_of_files, about, start, root="")
    address = header(begun, b"x-goog-upload-url") or b""
    begun.close()
    url = urlsplit(address.decode("ascii", "replace"))
    # The file, and the credential with it, goes nowhere else than to the provider.
    if url.hostname != place.deployment.provider.destination.target.host or not url.path:
        raise AnswerUnreadable
    sent: Headers = [
        (b"content-type", b"application/jsonl"),
        (b"content-length", b"%d" % size),
        (b"x-goog-upload-offset", b"0"),
        (b"x-goog-upload-command", b"upload, finalize"),
    ]
    path = f"{url.path}?{url.query}" if url.query else url.path
    uploaded = await read(await desk.ask(place, "POST", path, pieces, sent, root=""))
    return _convert(uploaded, _Uploaded).file.name


async def _find(desk: Desk, place: Place, identifier: str) -> _Batch:
    path = f"/batches/{quote(identifier, safe='')}"
    told = await read(await desk.ask(place, "GET", path, root=_root(place)))
    return _convert(told, _Batch)


def _convert(told: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(told, kind, strict=False)
    except msgspec.ValidationError as error:
        raise AnswerUnreadable from error


def _result(line: _Line) -> Result:
    if bytes(line.response) != b"null":
        return Result(line.key, bytes(line.response))
    error = line.error or _Error()
    status = _HTTP.get(error.code, error.code if 400 <= error.code < 600 else 500)
    message = error.message or "Gemini did not say why."
    return Result(line.key, fault=Fault(status=status, message=message))


def _shown(said: _Batch) -> dict[str, Any]:
    about = said.metadata
    stats, status = about.batch_stats, _ENDS.get(about.state, "in_progress")
    over, created = about.state in _ENDS, int(about.create_time.timestamp())
    times: dict[str, int | None] = {"created": created, "in_progress": created}
    ended = about.end_time or about.update_time
    if over and ended is not None:
        times[status] = int(ended.timestamp())
    there = over and bool(said.responses_file)
    good, failed = stats.successful_request_count, stats.failed_request_count
    return kept.shown(
        said.name.removeprefix("batches/"),
        status,
        times,
        output_file_id=OUTPUT if there and (good or not failed) else None,
        error_file_id=ERRORS if there and failed else None,
        request_counts=kept.counts(stats.request_count, good, failed),
    )


def _root(place: Place) -> str:
    base = place.deployment.provider.destination.base
    return base if base.endswith("/v1beta") else f"{base}/v1beta"
