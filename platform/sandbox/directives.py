"""Errors, delays and odd streams on demand, asked for in the text itself.

A directive is ``[[name]]`` or ``[[name=value]]`` in the last user message (for embeddings:
in the first input). Being part of the text it works through any gateway, SDK and prompt.
Directives are taken out before the text is read.

===================  ================================================================
``[[status=429]]``   answer with this error status (400 to 599); 429 and 503 say Retry-After: 1
``[[delay=0.5]]``    wait so many seconds before the answer starts (at most 60)
``[[chunks=50]]``    stream the text in exactly so many pieces (at most 10,000)
``[[pause=0.01]]``   wait so many seconds between pieces (at most 10)
``[[abort]]``        break the connection in the middle of the answer
===================  ================================================================
"""

from __future__ import annotations

import asyncio
import re

from msgspec import Struct

from sandbox.web import Refused

_DIRECTIVE = re.compile(r"\[\[(status|delay|chunks|pause|abort)(?:=([0-9.]{1,12}))?\]\]")


class Directives(Struct, frozen=True):
    status: int = 200
    delay: float = 0.0
    chunks: int | None = None
    pause: float = 0.0
    abort: bool = False


def take(text: str) -> tuple[Directives, str]:
    """What the text asks for, and the text without it. Raises Refused for a bad value."""
    found = {match[1]: match[2] or "" for match in _DIRECTIVE.finditer(text)}
    if not found:
        return Directives(), text
    directives = Directives(
        status=int(_number(found, "status", 400, 599, default=200)),
        delay=_number(found, "delay", 0, 60),
        chunks=int(_number(found, "chunks", 1, 10_000)) if "chunks" in found else None,
        pause=_number(found, "pause", 0, 10),
        abort="abort" in found,
    )
    return directives, _DIRECTIVE.sub("", text).strip()


def _number(
    found: dict[str, str], name: str, low: float, high: float, default: float = 0.0
) -> float:
    if name not in found:
        return default
    try:
        value = float(found[name])
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise Refused(
            400, "invalid_directive", f"[[{name}=...]] takes a number from {low} to {high}."
        )
    return value


async def act(wanted: Directives) -> None:
    """The delay, then the error status, that a text asks for."""
    if wanted.delay:
        await asyncio.sleep(wanted.delay)
    if wanted.status != 200:
        retry = {"retry-after": "1"} if wanted.status in (429, 503) else {}
        message = f"The sandbox answers {wanted.status} because the text asks for it."
        raise Refused(wanted.status, "sandbox_directive", message, headers=retry)
