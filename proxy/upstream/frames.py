"""Frames of a chunked body that can be told at a glance (RFC 9112, section 7.1).

Of the many ways to write a size only the usual one is known here: lower-case digits with no
zeros before them and no extension. All else, and the end of the body, is the parser's.
"""

from __future__ import annotations

LARGEST = 0xFFF
"""Bytes of payload in a frame. What a larger one costs is its bytes."""

_SIZES = {size: b"%x" % size for size in range(1, LARGEST + 1)}

FRAMES = {len(digits) + size + 4: digits + b"\r\n" for size, digits in _SIZES.items()}
"""By the length of a whole frame the one size line that it can begin with."""


def several(data: bytes) -> bytes | None:
    """What is in the frames that ``data`` consists of; None unless it does, to the last byte.

    Frames with a line break in their payload are not recognised.
    """
    if data.find(b"\r\n", 0, 5) < 0:
        return None
    parts = data.split(b"\r\n")
    pieces = parts[1::2]
    if parts[-1] or list(map(_SIZES.get, map(len, pieces))) != parts[:-1:2]:
        return None
    return b"".join(pieces)
