"""Takes in the file of a batch and hands it on: ``POST /v1/files``.

The form is read as it comes and each line is written anew into a temporary file, in memory as long
as it is small. Only when all lines are known to be good the provider is sent anything.
"""

from __future__ import annotations

import asyncio
import logging
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from proxy.ai import answering
from proxy.ai.batches import keepers
from proxy.ai.batches.errors import BatchesUnavailable, BatchFileInvalid
from proxy.ai.batches.forms import Field, Parts
from proxy.ai.batches.lines import Lines
from proxy.ai.batches.marks import Mark
from proxy.ai.batches.places import Desk
from proxy.ai.errands import Place
from proxy.ai.errors import InvalidRequest, ModelCannot, ModelNotFound
from proxy.errors import GatewayOverloaded

logger = logging.getLogger(__name__)

FILE_LIMIT = 209_715_200
"""Bytes of a file: OpenAI's own limit."""
FORM_LIMIT = 65_536
"""Bytes of all else in the form."""
IN_MEMORY = 1_048_576
MOST_OF_ONE, MOST_UPLOADS = 4, 32
"""Taken in at once by one worker, for one tenant and for all, which bounds the disk they take."""


async def take(desk: Desk) -> tuple[Place, dict[str, Any]]:
    """Where the file went, and what the provider says of it. Raises GatewayErrors."""
    uploads, tenant_id = desk.gateway.batches.uploads, desk.tenant.id
    if uploads[tenant_id] >= MOST_OF_ONE or uploads.total() >= MOST_UPLOADS:
        raise GatewayOverloaded
    uploads[tenant_id] += 1
    try:
        with SpooledTemporaryFile(IN_MEMORY) as spool:
            return await _Upload(desk, spool).run()
    except OSError as error:
        logger.error("The file of a batch cannot be kept: %s", error)
        raise BatchesUnavailable from error
    finally:
        uploads[tenant_id] -= 1
        if not uploads[tenant_id]:
            del uploads[tenant_id]


class _Upload:
    def __init__(self, desk: Desk, spool: IO[bytes]) -> None:
        self._desk = desk
        self._spool = spool
        self._fields: dict[str, bytes] = {}
        self._beside = 0
        """Bytes of the fields, with their names."""
        self._lines = Lines(self._choose)
        self._field: Field | None = None
        self._value = b""
        self._name: str | None = None
        self._size = 0

    async def run(self) -> tuple[Place, dict[str, Any]]:
        desk, exchange = self._desk, self._desk.exchange
        parts = Parts(exchange.headers.get(b"content-type", b""))
        exchange.limit_body(FILE_LIMIT + FORM_LIMIT)
        admitted = False
        async for chunk in exchange.body():
            for item in parts.feed(chunk):
                self._take(item)
            if self._lines.place is not None and not admitted:
                admitted = True
                await desk.admit(self._lines.place)
            await asyncio.sleep(0)
        if not parts.over:
            raise InvalidRequest("The form ends before its last boundary.")
        if self._fields.get("purpose", b"").strip() != b"batch":
            raise InvalidRequest("Files are taken with the purpose 'batch' only.", "purpose")
        if self._name is None:
            raise InvalidRequest("The form needs a file in its field 'file'.", "file")
        place = self._lines.place
        if place is None:
            raise BatchFileInvalid
        if not admitted:
            await desk.admit(place)
        return place, await self._send(place)

    def _take(self, item: Field | bytes | None) -> None:
        if isinstance(item, Field):
            self._field, self._value = item, b""
            self._count(len(item.name))
            if item.name == "file":
                if self._name is not None or item.filename is None:
                    raise InvalidRequest("The form needs one file in its field 'file'.", "file")
                self._name = item.filename[-100:]
        elif self._field is not None and self._field.name == "file":
            for line in self._lines.end() if item is None else self._lines.feed(item):
                self._size += len(line)
                self._spool.write(line)
        elif self._field is not None and item is None:
            self._fields[self._field.name] = self._value
        elif item is not None:
            self._value += item
            self._count(len(item))
            if len(self._value) > 1024:
                raise InvalidRequest("A field of the form is too long.")

    def _count(self, size: int) -> None:
        self._beside += size
        if self._beside > FORM_LIMIT:
            raise InvalidRequest("The form holds too much beside its file.")

    def _choose(self, name: str) -> Place:
        """The first candidate of a model for whose choice a request's content does not matter."""
        desk = self._desk
        model = desk.tenant.models.get(name)
        places = [
            place for place in desk.places.values() if model is not None and place.model is model
        ]
        if model is None or not (places or desk.uses(model)):
            raise ModelNotFound(name)
        if not places or not model.plain:
            raise ModelCannot(name, "batches" if model.plain else "batches, as it has rules")
        order = tuple(one for one in model.order if one.id in desk.places)
        chosen = desk.gateway.balance.pick(model.id, order)
        if chosen is None:
            raise ModelCannot(name, "batches")
        return desk.places[chosen.id]

    async def _send(self, place: Place) -> dict[str, Any]:
        mark = Mark(
            place.deployment.id,
            input_tokens=self._lines.input_tokens,
            output_tokens=self._lines.output_tokens,
        )
        answering.tell_notes(self._desk.exchange, self._lines.notes)
        name = self._desk.marks.name(mark, _plain(self._name or ""))
        keeper = keepers.of(place)
        return await keeper.put(self._desk, place, name, self._spool, self._size, self._fields)


def _plain(name: str) -> str:
    """Of a file's name what no provider and no header can take amiss."""
    kept = "".join(letter for letter in name if letter.isascii() and letter.isprintable())
    return kept.replace('"', "").replace("\\", "").replace("/", "") or "batch.jsonl"
