"""The frames of AWS's event streams: lengths, headers, payload, and checksums (CRC-32) of both.

A frame is: total length and headers' length (4 bytes each, big-endian), the checksum of these 8
bytes, headers, payload, and the checksum of all before it. A header is its name's length (1 byte),
its name, a type (7: text) and, for text, a length (2 bytes) and the text.
"""

from __future__ import annotations

from struct import pack, unpack_from
from zlib import crc32

LIMIT = 24 * 1024 * 1024
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a value by its type, where that is fixed."""
_TEXT, _BYTES = 7, 6


class BadFrame(ValueError):
    """What came is no event stream, or was changed on the way."""


class Frames:
    """``feed`` returns the frames that are complete: headers and payload. One that is ``bad`` is
    not among them, and nothing comes after it."""

    __slots__ = ("_held", "_needed", "bad")

    def __init__(self) -> None:
        self._held = bytearray()
        self._needed = 0
        """Before so many bytes are held, nothing more can be read."""
        self.bad = False

    def feed(self, piece: bytes) -> list[tuple[dict[str, str], bytes]]:
        found: list[tuple[dict[str, str], bytes]] = []
        if self.bad:
            return found
        if self._held:
            self._held += piece
            if len(self._held) < self._needed:
                return found
            piece = bytes(self._held)
        try:
            self._held = bytearray(self._read(piece, found))
        except BadFrame:
            self.bad = True
        return found

    def _read(self, data: bytes, found: list[tuple[dict[str, str], bytes]]) -> bytes:
        """What is left. Raises BadFrame."""
        at, self._needed = 0, 12
        while len(data) - at >= 12:
            total, size = unpack_from(">II", data, at)
            if crc32(data[at : at + 8]) != unpack_from(">I", data, at + 8)[0]:
                raise BadFrame
            if total > LIMIT or total < size + 16:
                raise BadFrame
            if len(data) - at < total:
                self._needed = total
                break
            end = at + total - 4
            if crc32(data[at:end]) != unpack_from(">I", data, end)[0]:
                raise BadFrame
            headers = data[at + 12 : at + 12 + size]
            found.append((_headers(headers), data[at + 12 + size : end]))
            at += total
        return data[at:]

    @property
    def partial(self) -> bool:
        return bool(self._held)


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            size = data[at]
            name = data[at + 1 : at + 1 + size].decode()
            kind = data[at + 1 + size]
            at += size + 2
            if kind in (_TEXT, _BYTES):
                (length,) = unpack_from(">H", data, at)
                at += 2
                if kind == _TEXT:
                    found[name] = data[at : at + length].decode()
                at += length
            else:
                at += _SIZES[kind]
    except (IndexError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise BadFrame from error
    return found


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    written = b"".join(
        bytes((len(name),)) + name.encode() + pack(">BH", _TEXT, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = pack(">II", len(written) + len(payload) + 16, len(written))
    body = prelude + pack(">I", crc32(prelude)) + written + payload
    return body + pack(">I", crc32(body))
