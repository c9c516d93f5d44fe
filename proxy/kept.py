"""The header fields that a client sends again on a connection it keeps.

Clients repeat their fields call after call: only the request line and the body's length
change. A call whose bytes differ from an earlier one of the connection in nothing else
needs no parser: that one went through it. What is not plainly so is left to the parser.
"""

from __future__ import annotations

import re

from proxy.exchange import RequestHead

LONGEST = 4096
"""Bytes of fields up to which a connection remembers them."""

_KEPT_ANYWAY = (b"keep-alive", b"Keep-Alive")
_UNUSUAL = frozenset({b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
_line = re.compile(
    rb"([A-Z]{3,10}) (/[\w.~!$&'()*+,;=:@%/-]{0,4095})"
    rb"(?:\?([\w.~!$&'()*+,;=:@%/?-]{0,4096}))? HTTP/1\.1"
).fullmatch
_length = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH")
}

Message = tuple[str, bytes, bytes, bytes]
"""Method, raw path, query and the whole body."""


class KeptFields:
    """``take`` reads a message with the same fields as the one it was made from."""

    __slots__ = ("_after", "_before", "head")

    def __init__(self, head: RequestHead, before: bytes, after: bytes | None) -> None:
        self.head = head
        self._before = before
        """From the line break after the request line: to the empty line, or to the length."""
        self._after = after
        """From the length's end to the empty line; None where the fields name no length."""

    def take(self, data: bytes) -> Message | None:
        """None unless ``data`` is one whole message with these fields."""
        before, after = self._before, self._after
        if after is None:
            if not data.endswith(before):
                return None
            end, body = len(data) - len(before), b""
        else:
            end = data.find(b"\r\n")
            if not data.startswith(before, end):
                return None
            start = end + len(before)
            stop = data.find(b"\r", start, start + 10)
            digits = data[start:stop]
            if not digits.isdigit() or not data.startswith(after, stop):
                return None
            begin = stop + len(after)
            if len(data) - begin != int(digits):
                return None
            body = data[begin:]
        line = _line(data, 0, end)
        if line is None:
            return None
        name, path, query = line.groups()
        method = _METHODS.get(name)
        if method is None:
            return None
        self.head.kept = True
        return method, path, query or b"", body


def keep(head: RequestHead, data: bytes) -> KeptFields | None:
    """What to remember of ``data``, one whole message that the parser took as ``head``.

    None where the fields are too long or mean more than usual.
    """
    start, end = data.find(b"\r\n"), data.find(b"\r\n\r\n") + 4
    fields = head.fields
    if end - start > LONGEST or not _UNUSUAL.isdisjoint(fields) or _line(data, 0, start) is None:
        return None
    if fields.get(b"connection", b"keep-alive") not in _KEPT_ANYWAY:
        return None
    block = data[start:end]
    if b"content-length" not in fields:
        return KeptFields(head, block, None) if end == len(data) else None
    lengths = list(_length.finditer(block))
    if len(lengths) != 1 or len(data) - end != int(lengths[0][1]):
        return None
    return KeptFields(head, block[: lengths[0].start(1)], block[lengths[0].end(1) :])
