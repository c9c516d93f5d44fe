"""The scripts that decide in Valkey. Each begins with what ``counter.lua`` gives all of them."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

from msgspec import Struct

from proxy.valkey import word

LEASE_SECONDS = 10.0
"""How long what a worker holds counts without a sign of life; as in ``counter.lua``."""

_HERE = Path(__file__).parent
_SHARED = (_HERE / "counter.lua").read_text()


class Script(Struct, frozen=True):
    text: str
    sha: str
    _opening: bytes

    def command(self, words: int, key_count: int, keys: bytes, arguments: bytes) -> bytes:
        """A call of it, made of what is packed already: ``words`` in all, keys among them."""
        return b"*%d\r\n%b%b%b%b" % (words + 3, self._opening, number(key_count), keys, arguments)


_NUMBERS = [word(number) for number in range(1000)]


def number(value: int) -> bytes:
    """A word of a command."""
    return _NUMBERS[value] if 0 <= value < 1000 else word(value)


def _load(name: str) -> Script:
    text = _SHARED + (_HERE / f"{name}.lua").read_text()
    sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(text, sha, word("EVALSHA") + word(sha))


TAKE = _load("take")
SETTLE = _load("settle")
HOLD = _load("hold")
OPEN_BILL = _load("open_bill")
CLOSE_BILL = _load("close_bill")
ALL = (TAKE, SETTLE, HOLD, OPEN_BILL, CLOSE_BILL)
