"""The scripts that decide in Valkey. Each begins with what ``counter.lua`` gives all of them."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

from msgspec import Struct

LEASE_SECONDS = 10.0
"""How long what a worker holds counts without a sign of life; as in ``counter.lua``."""

_HERE = Path(__file__).parent
_SHARED = (_HERE / "counter.lua").read_text()


class Script(Struct, frozen=True):
    text: str
    sha: str


def _load(name: str) -> Script:
    text = _SHARED + (_HERE / f"{name}.lua").read_text()
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


TAKE = _load("take")
SETTLE = _load("settle")
HOLD = _load("hold")
ALL = (TAKE, SETTLE, HOLD)
