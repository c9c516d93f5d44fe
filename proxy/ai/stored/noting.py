"""Noting who holds the response that a call is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from proxy.ai.formats.responses import read_usage
from proxy.ai.middle import Begin, ChoiceEnd, Event
from proxy.ai.stored.holders import Holder, Holders, name

if TYPE_CHECKING:
    from proxy.ai.formats import Reader
    from proxy.ai.middle import Usage
    from proxy.exchange import Exchange


class _Answer(Struct):
    id: str = ""
    object: str = ""


class _Event(_Answer):
    response: _Answer | None = None


_decode = msgspec.json.Decoder(_Event).decode


class Keep:
    """Notes who holds the response that a call is answered with, once its id is seen."""

    __slots__ = ("_exchange", "_holders", "_noted")

    def __init__(self, exchange: Exchange, holders: Holders) -> None:
        self._exchange = exchange
        self._holders = holders
        self._noted = False

    def read(self, data: bytes) -> Usage | None:
        """The format's own ``read_usage``, of what is passed on."""
        if not self._noted:
            self.saw(_id(data))
        return read_usage(data)

    def reading(self, reader: Reader) -> Reader:
        """The same, of a stream that is read and written anew."""
        return _Reading(reader, self)

    def saw(self, identifier: str) -> None:
        exchange = self._exchange
        if identifier and not self._noted:
            self._noted = True
            holder = Holder(exchange.deployment_id, exchange.provider_id)
            self._holders.note(name(exchange, identifier), holder)


class _Reading:
    """What breaks off may be carried on by another, which nobody holds: it is noted at its end."""

    def __init__(self, reader: Reader, keep: Keep) -> None:
        self._reader = reader
        self._keep = keep
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        events = self._reader.feed(data)
        for event in events:
            if isinstance(event, Begin):
                self._id = event.id
            elif isinstance(event, ChoiceEnd):
                self._keep.saw(self._id)
        return events

    def end(self) -> list[Event]:
        return self._reader.end()


def _id(data: bytes) -> str:
    """That of a whole response, or of the one that an event tells of; else empty."""
    try:
        event = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    told: _Answer = event.response or event
    return told.id if told.object == "response" else ""
