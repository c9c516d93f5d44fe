"""How much a JSON body may hold before it is read whole.

Each value becomes an object that weighs far more than its text, up to sixty times as much: what is
small enough to be taken may be too large to be understood.
"""

from __future__ import annotations

import re

from proxy.ai.errors import TooManyValues

LARGE = 262_144
"""Bytes up to which nothing is counted."""
MOST = 500_000
"""Values, of which an object or a list counts as eight and a name as two: some 30 MB."""

_WEIGHTS = {b"{": 8, b"[": 8, b":": 2, b",": 1}
_WEIGHT_OF = {ord(mark): weight for mark, weight in _WEIGHTS.items()}
_parts = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{\[:,]', re.DOTALL).finditer


def check(body: bytes) -> None:
    """Raises TooManyValues."""
    if len(body) <= LARGE:
        return
    if sum(weight * body.count(mark) for mark, weight in _WEIGHTS.items()) <= MOST:
        return
    # These marks may be text: only those outside of strings count, and a string does as well.
    found = 0
    for part in _parts(body):
        found += _WEIGHT_OF.get(body[part.start()], 1)
        if found > MOST:
            raise TooManyValues
