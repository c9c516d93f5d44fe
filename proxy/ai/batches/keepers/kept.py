"""Providers that take batches in another format than OpenAI's.

Their files are kept by the gateway until the batch is created (``shelf``), translated: each line
goes through the middle form, as single calls do, and so does each answer on its way back. Nothing
that they keep can bear a mark, so that what there is to know of a batch is in the id that its
client has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any

from msgspec import Raw, Struct

from proxy.ai.batches.errors import BatchesUnavailable, BatchLineInvalid, FileNotFound
from proxy.ai.batches.keepers.line import Line
from proxy.ai.batches.places import Desk
from proxy.ai.errands import Place, encode
from proxy.ai.errors import InvalidRequest
from proxy.ai.formats.chat import write_answer, write_fault
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Fault, Request, rules

if TYPE_CHECKING:
    from proxy.ai.batches.marks import Mark
    from proxy.ai.batches.shelf import Kept, Shelf
    from proxy.ai.middle.rules import Notes

ENDPOINT = "/v1/chat/completions"
OUTPUT, ERRORS = "output", "errors"
"""What the files of a batch's results are called here."""


class Result(Struct):
    """Of one request: ``answer`` is a good one's body, as the provider wrote it. Without one and
    without a fault it was not executed, for which ``code`` is the reason."""

    custom_id: str
    answer: bytes = b""
    fault: Fault | None = None
    code: str = ""


class Keeper:
    """``spoken`` is the format of requests and answers."""

    LISTS = False

    def __init__(self, spoken: str) -> None:
        self._spoken = spoken

    # What each of these providers does in its own way

    def told(self, line: Line, params: bytes) -> bytes:
        """A line of the file that is kept. Raises BatchLineInvalid."""
        raise NotImplementedError

    async def begin(
        self, desk: Desk, place: Place, size: int, pieces: AsyncIterator[bytes]
    ) -> dict[str, Any]:
        """Creates a batch of a file of ``size`` bytes."""
        raise NotImplementedError

    async def batch(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
        raise NotImplementedError

    async def cancel(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]:
        raise NotImplementedError

    def results(self, desk: Desk, place: Place, identifier: str) -> AsyncIterator[Result]:
        """Raises AnswerUnreadable."""
        raise NotImplementedError

    # Files

    def write(self, line: Line, place: Place, notes: Notes) -> bytes:
        if line.url != ENDPOINT:
            raise BatchLineInvalid(
                line.number, f"the model '{line.asked.model[:100]}' cannot be asked for {line.url}."
            )
        request = FORMATS["chat"].read_request(line.body)
        if request.stream:
            raise BatchLineInvalid(line.number, "a batch answers whole: leave 'stream' out.")
        spoken = FORMATS[self._spoken]
        rules.foreign(request, self._spoken, notes)
        rules.apply(request, spoken.LACKS, notes)
        params = spoken.write_request(request, place.deployment.deployment.model, notes)
        return self.told(line, params) + b"\n"

    async def put(
        self,
        desk: Desk,
        place: Place,
        name: str,
        spool: IO[bytes],
        size: int,
        form: dict[str, bytes],
    ) -> dict[str, Any]:
        identifier = token_hex(12)
        kept = await _shelf(desk).put(desk.tenant.id, identifier, name, spool, size)
        return _told(identifier, kept)

    async def file(self, desk: Desk, place: Place, mark: Mark) -> dict[str, Any]:
        if not mark.batch:
            return _told(mark.id, await _find(desk, mark))
        told = await self.batch(desk, place, mark.batch)
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

    async def delete(self, desk: Desk, place: Place, mark: Mark) -> dict[str, Any]:
        if mark.batch:
            raise InvalidRequest("The results of this batch are the provider's to delete.")
        if not await _shelf(desk).remove(desk.tenant.id, mark.id):
            raise FileNotFound
        return {"id": mark.id, "object": "file", "deleted": True}

    async def send(self, desk: Desk, place: Place, mark: Mark) -> None:
        exchange = desk.exchange
        if mark.batch:
            pieces = self._written(desk, place, mark)
        else:
            kept = await _find(desk, mark)
            pieces = _shelf(desk).pieces(desk.tenant.id, mark.id, kept)
        # What fails at once is told with its status.
        first = await anext(pieces, b"")
        await exchange.start(200, [(b"content-type", b"application/jsonl")])
        if first:
            await exchange.write(first)
        async for piece in pieces:
            await exchange.write(piece)
        await exchange.finish()

    async def _written(self, desk: Desk, place: Place, mark: Mark) -> AsyncIterator[bytes]:
        """Of the good answers, or of the others, each as a line of OpenAI's file."""
        async for result in self.results(desk, place, mark.batch):
            if bool(result.answer) == (mark.id == OUTPUT):
                yield encode(self._line(result, place.model.name, mark.batch)) + b"\n"

    def _line(self, result: Result, model: str, batch_id: str) -> dict[str, Any]:
        written: dict[str, Any] = {
            "id": f"batch_req_{batch_id}_{result.custom_id}"[:128],
            "custom_id": result.custom_id,
            "response": None,
            "error": None,
        }
        if result.answer:
            answer = FORMATS[self._spoken].read_answer(result.answer)
            answer.model = model
            body = write_answer(answer, Request(format="chat", model=model, messages=[]))
            written["response"] = _response(200, answer.id, Raw(body))
        elif result.fault is not None:
            body = write_fault(result.fault)
            written["response"] = _response(result.fault.status, "", Raw(body))
        else:
            written["error"] = {"code": result.code, "message": "This request was not executed."}
        return written

    # Batches

    async def create(
        self, desk: Desk, place: Place, file: Mark, asked: dict[str, Any]
    ) -> dict[str, Any]:
        for name, value in (("endpoint", ENDPOINT), ("completion_window", "24h")):
            if asked.get(name) != value:
                raise InvalidRequest(f"The field '{name}' must be '{value}'.", name)
        kept = await _find(desk, file)
        pieces = _shelf(desk).pieces(desk.tenant.id, file.id, kept)
        return await self.begin(desk, place, kept.size, pieces)

    async def answers(
        self, desk: Desk, place: Place, batch: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        async for result in self.results(desk, place, batch["id"]):
            if result.answer:
                yield result.answer

    def format(self, batch: dict[str, Any]) -> str:
        return self._spoken


def _shelf(desk: Desk) -> Shelf:
    shelf = desk.gateway.batches.shelf
    if shelf is None:
        raise BatchesUnavailable
    return shelf


async def _find(desk: Desk, mark: Mark) -> Kept:
    kept = await _shelf(desk).find(desk.tenant.id, mark.id)
    if kept is None:
        raise FileNotFound("The file is gone: it waits a day for its batch. Upload it again.")
    return kept


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


def _response(status: int, identifier: str, body: Raw) -> dict[str, Any]:
    return {"status_code": status, "request_id": identifier, "body": body}


def shown(
    identifier: str, status: str, times: dict[str, int | None], **fields: Any
) -> dict[str, Any]:
    """A batch as OpenAI tells of one. ``times``: by the names of what was reached."""
    return {
        "id": identifier,
        "object": "batch",
        "endpoint": ENDPOINT,
        "errors": None,
        "input_file_id": "",
        "completion_window": "24h",
        "status": status,
        "output_file_id": None,
        "error_file_id": None,
        "metadata": None,
        **{f"{name}_at": moment for name, moment in times.items()},
        **fields,
    }


def counts(total: int, completed: int, failed: int) -> dict[str, int]:
    return {"total": total, "completed": completed, "failed": failed}
