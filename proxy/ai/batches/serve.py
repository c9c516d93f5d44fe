"""The doors of files and batches.

What an id stands for is asked of the provider that it names; an id that was not signed for the
application that calls is not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from proxy.ai import answering
from proxy.ai.batches import bills, counted, keepers, lists, objects, upload
from proxy.ai.batches.errors import BatchNotFound, FileNotFound
from proxy.ai.batches.marks import METADATA, Kind, Mark
from proxy.ai.batches.places import Desk
from proxy.ai.errands import JSON, Place, encode
from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest, ProviderSays
from proxy.ai.estimate import Estimate
from proxy.ai.middle.rules import Notes
from proxy.errors import MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway

REQUEST_LIMIT = 65_536
MOST_METADATA = 15
"""Of a provider's 16, one is the gateway's."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


async def serve(exchange: Exchange, gateway: Gateway, found: Iterator[Place]) -> None:
    """``found``: all deployments of models that the application may use. Raises GatewayErrors."""
    desk = Desk(exchange, gateway, found)
    _, what, *rest = exchange.rest.removesuffix("/").split("/")
    doors = _DOORS.get((what, len(rest), rest[1] if len(rest) == 2 else ""))
    if doors is None:
        raise RouteNotFound
    if exchange.method not in doors:
        raise MethodNotAllowed(list(doors))
    try:
        await doors[exchange.method](desk, *rest[:1])
    except ProviderSays as error:
        exchange.error_code = error.noted
        await exchange.respond(error.answered, error.passed, error.body)


async def _say(desk: Desk, shown: dict[str, Any] | None) -> None:
    if shown is None:
        raise AnswerUnreadable
    await desk.exchange.respond(200, [JSON], encode(shown))


# Files


async def _upload(desk: Desk) -> None:
    _, told = await upload.take(desk)
    await _say(desk, objects.file(desk, told))


async def _files(desk: Desk) -> None:
    await _list(desk)
    await _say(desk, await lists.listed(desk, "file", objects.file, FileNotFound))


async def _file(desk: Desk, identifier: str) -> None:
    mark, place = await _find(desk, "file", identifier)
    told = await keepers.of(place).file(desk, place, mark)
    await _say(desk, objects.file(desk, told, mark))


async def _delete(desk: Desk, identifier: str) -> None:
    mark, place = await _find(desk, "file", identifier)
    await _record(desk, mark, place)
    told = await keepers.of(place).delete(desk, place, mark)
    await _say(desk, {**told, "id": identifier})


async def _content(desk: Desk, identifier: str) -> None:
    mark, place = await _find(desk, "file", identifier)
    await _record(desk, mark, place)
    await keepers.of(place).send(desk, place, mark)


async def _record(desk: Desk, mark: Mark, place: Place) -> None:
    """A batch's answers are given out, or deleted, only once what they used is recorded."""
    if mark.batch:
        told = await keepers.of(place).batch(desk, place, mark.batch)
        await counted.record(desk, place, told, objects.mark_of(desk, told) or mark)


# Batches


async def _create(desk: Desk) -> None:
    exchange = desk.exchange
    try:
        body = _decode(await exchange.read_body(REQUEST_LIMIT))
    except msgspec.ValidationError as error:
        raise InvalidRequest("The request body must be a JSON object.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(str(error)) from error
    file, place = _known(desk, "file", body.get("input_file_id"))
    uses = (file.input_tokens, file.output_tokens)
    exchange.expected = Estimate(*uses, (place.deployment.prices,), batched=True)
    metadata = _metadata(body.get("metadata"))
    keeper = keepers.of(place)
    if metadata and not keeper.LISTS:
        notes = Notes(place.model.name, place.model.model.routing.unsupported)
        notes.lacks("metadata")
        answering.tell_notes(exchange, notes)
    await desk.admit(place)
    bill = await bills.open(desk, body.get("completion_window"))
    key = exchange.caller.key_id if exchange.caller is not None else ""
    mark = Mark(file.deployment, "", *uses, bill=bill, key=key, user=exchange.end_user)
    if not keeper.LISTS:
        mark = replace(mark, file=file.id)
    metadata[METADATA] = desk.marks.write("batch mark", mark)
    async with bills.unless_refused(desk, bill):
        told = await keeper.create(desk, place, file, {**body, "metadata": metadata})
    await _say(desk, objects.batch(desk, told, mark))


def _metadata(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidRequest("The field 'metadata' must be an object.", "metadata")
    if METADATA in given:
        raise InvalidRequest(f"The key '{METADATA}' of the metadata is the gateway's.", "metadata")
    if len(given) > MOST_METADATA:
        raise InvalidRequest(f"There may be {MOST_METADATA} keys in the metadata.", "metadata")
    return dict(given)


async def _batches(desk: Desk) -> None:
    await _list(desk)
    await _say(desk, await lists.listed(desk, "batch", objects.batch, BatchNotFound))


async def _batch(desk: Desk, identifier: str) -> None:
    mark, place = await _find(desk, "batch", identifier)
    await _tell(desk, mark, place, await keepers.of(place).batch(desk, place, mark.id))


async def _cancel(desk: Desk, identifier: str) -> None:
    mark, place = await _find(desk, "batch", identifier)
    await _tell(desk, mark, place, await keepers.of(place).cancel(desk, place, mark.id))


async def _tell(desk: Desk, mark: Mark, place: Place, told: dict[str, Any]) -> None:
    await counted.record(desk, place, told, objects.mark_of(desk, told) or mark)
    await _say(desk, objects.batch(desk, told, mark))


async def _find(desk: Desk, kind: Kind, identifier: str) -> tuple[Mark, Place]:
    """Raises FileNotFound, BatchNotFound and what ``Desk.admit`` raises."""
    mark, place = _known(desk, kind, identifier)
    await desk.admit(place)
    return mark, place


def _known(desk: Desk, kind: Kind, identifier: object) -> tuple[Mark, Place]:
    mark = desk.marks.read(kind, identifier)
    place = objects.place_of(desk, mark)
    if mark is None or place is None:
        raise BatchNotFound if kind == "batch" else FileNotFound
    return mark, place


async def _list(desk: Desk) -> None:
    """A list is about all places: the call is one of the first's API and of no model."""
    exchange = desk.exchange
    for place in desk.places.values():
        await desk.admit(place)
        exchange.model_id = exchange.model = exchange.provider_id = exchange.deployment_id = ""
        break


_DOORS: dict[tuple[str, int, str], dict[str, Any]] = {
    ("files", 0, ""): {"GET": _files, "POST": _upload},
    ("files", 1, ""): {"GET": _file, "DELETE": _delete},
    ("files", 2, "content"): {"GET": _content},
    ("batches", 0, ""): {"GET": _batches, "POST": _create},
    ("batches", 1, ""): {"GET": _batch},
    ("batches", 2, "cancel"): {"POST": _cancel},
}
"""By the path's first segment, how many follow, and the last of two."""
