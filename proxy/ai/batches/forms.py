"""A form with a file, read as it comes: nothing of it is kept.

Source: RFC 7578 and RFC 2046, section 5.1.
"""

from __future__ import annotations

import re

from msgspec import Struct

from proxy.ai.errors import InvalidRequest

HEAD_LIMIT = 4096
_BOUNDARY = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^;\s"]{1,70}))', re.IGNORECASE)
_FIELD = re.compile(rb'\bname="([^"\r\n]*)"', re.IGNORECASE)
_FILE = re.compile(rb'\bfilename="([^"\r\n]*)"', re.IGNORECASE)
_DISPOSITION = re.compile(
    rb"(?:^|\r\n)content-disposition:\s*form-data\s*;([^\r\n]*)", re.IGNORECASE
)
_WRONG = "The form cannot be read: send multipart/form-data as RFC 7578 describes it."


class Field(Struct, frozen=True):
    """A part begins."""

    name: str
    filename: str | None


class Parts:
    """Feed it; what comes out is a ``Field``, then pieces of its value, then None at its end.

    Raises InvalidRequest for what is no form.
    """

    def __init__(self, content_type: bytes) -> None:
        match = _BOUNDARY.search(content_type)
        if match is None or not content_type.lower().startswith(b"multipart/form-data"):
            raise InvalidRequest("Send a form with a file: Content-Type multipart/form-data.")
        self._mark = b"\r\n--" + (match[1] or match[2])
        self._held = b"\r\n"
        self._in_head = self._in_value = False
        self.over = False

    def feed(self, data: bytes) -> list[Field | bytes | None]:
        found: list[Field | bytes | None] = []
        self._held += data
        while not self.over and (self._head(found) if self._in_head else self._value(found)):
            pass
        if self.over:
            self._held = b""
        return found

    def _head(self, found: list[Field | bytes | None]) -> bool:
        """Whether there is more to do with what is held."""
        at = self._held.find(b"\r\n\r\n", 0, HEAD_LIMIT)
        if at < 0:
            if len(self._held) >= HEAD_LIMIT:
                raise InvalidRequest(_WRONG)
            return False
        found.append(_field(self._held[:at]))
        self._held = self._held[at + 4 :]
        self._in_head, self._in_value = False, True
        return True

    def _value(self, found: list[Field | bytes | None]) -> bool:
        mark, held = self._mark, self._held
        at = held.find(mark)
        whole = at >= 0 and len(held) >= at + len(mark) + 2
        end = at if at >= 0 else max(0, len(held) - len(mark) + 1)
        if self._in_value and end:
            found.append(held[:end])
        self._held = held[end:]
        if not whole:
            return False
        after = held[at + len(mark) : at + len(mark) + 2]
        if after not in (b"\r\n", b"--"):
            raise InvalidRequest(_WRONG)
        if self._in_value:
            found.append(None)
        self._held = held[at + len(mark) + 2 :]
        self._in_head, self._in_value = True, False
        self.over = after == b"--"
        return not self.over


def _field(head: bytes) -> Field:
    disposition = _DISPOSITION.search(head)
    name = _FIELD.search(disposition[1]) if disposition is not None else None
    if disposition is None or name is None:
        raise InvalidRequest(_WRONG)
    file = _FILE.search(disposition[1])
    filename = file[1].decode("utf-8", "replace") if file is not None else None
    return Field(name[1].decode("utf-8", "replace"), filename)
