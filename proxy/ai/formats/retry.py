"""When an overloaded provider may be asked again, as its answer's headers say.

Sources: RFC 9110, 10.2.3 (seconds, or a date); ``retry-after-ms``, which OpenAI and Azure send
and their SDKs prefer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds from now, never negative; None where nothing sensible is said. The names of the
    headers are in lower case."""
    for name, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        value = headers.get(name, b"").decode("latin-1").strip()
        if not value:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            seconds = _until(value)
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _until(date: str) -> float:
    """Seconds from now to a date, 0 where it is past; -1 where it is no date."""
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError, IndexError, TypeError):
        return -1.0
