"""From the provider's answer to the client's: passed on where both speak the same format, else
read into the middle form and written from it."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from proxy.ai.calls import field
from proxy.ai.formats.operations import family
from proxy.ai.formats.registry import FORMATS
from proxy.ai.relay import relay
from proxy.ai.translate import say_fault, translate

if TYPE_CHECKING:
    from proxy.ai.asking import Asking
    from proxy.ai.calls import Attempt
    from proxy.ai.middle.rules import Notes
    from proxy.exchange import Exchange


async def answer(exchange: Exchange, asking: Asking, attempt: Attempt) -> None:
    """Writes the whole answer, and accounts for it however far it came."""
    first_token = perf_counter()
    note(exchange, attempt)
    try:
        if attempt.fault is not None:
            await say_fault(exchange, attempt.fault, family(asking.format))
        elif attempt.told.format == asking.format and not _unasked(asking, attempt):
            await relay(exchange, asking, attempt)
        else:
            await translate(exchange, asking, attempt)
        if not exchange.error_code:
            attempt.timed(first_token, exchange.output_tokens)
    finally:
        attempt.close()


def _unasked(asking: Asking, attempt: Attempt) -> bool:
    """The provider sent a whole answer where a stream was asked for, or a stream that may have to
    be carried on."""
    if not asking.stream or attempt.response.status >= 400 or asking.format not in FORMATS:
        return False
    kind = field(attempt.response, b"content-type") or b""
    if asking.others is not None and kind.startswith(FORMATS[asking.format].STREAM_TYPE):
        return True
    return kind.startswith(b"application/json")


def note(exchange: Exchange, attempt: Attempt) -> None:
    """What the provider could not be told as it was asked: in the answer's head and the record."""
    tell_notes(exchange, attempt.told.notes)


def tell_notes(exchange: Exchange, notes: Notes) -> None:
    """As ``note``."""
    if not notes.dropped and not notes.mapped:
        return
    told = list(exchange.added_headers or [])
    if notes.dropped:
        told.append((b"x-hubpo-dropped", ", ".join(notes.dropped).encode("ascii", "replace")))
    if notes.mapped:
        told.append((b"x-hubpo-mapped", ", ".join(notes.mapped).encode("ascii", "replace")))
    exchange.added_headers = told
    dropped = [f"dropped {name}" for name in notes.dropped]
    exchange.adapted = "; ".join([*dropped, *notes.mapped])[:200]
