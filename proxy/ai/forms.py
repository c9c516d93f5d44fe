"""Requests that are forms with files (``multipart/form-data``): only two of their fields matter
where they are passed on.

Source: RFC 7578. The parts between the boundaries stay as they came; where the provider knows the
model by another name that one value is put in its place. What is translated is taken apart whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from proxy.ai.errors import InvalidRequest
from proxy.ai.passing import Asked

_BOUNDARY = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^;\s"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?(model|stream)"?\s*(?:;|\r\n|$)', re.I)
_DISPOSITION = re.compile(rb"\r\ncontent-disposition:\s*form-data([^\r\n]*)", re.I)
_OPTION = re.compile(rb';\s*(name|filename)=("[^"\r\n]*"|[^;\s"]+)')
_TYPE = re.compile(rb"\r\ncontent-type:([^\r\n]*)", re.I)
_HEAD_LIMIT = 4096
_VALUE_LIMIT = 256
_MOST = 200


class Field(NamedTuple):
    """``filename`` and ``media_type``: empty where they are not said."""

    name: str
    value: bytes
    filename: str
    media_type: str

    @property
    def text(self) -> str:
        """Raises InvalidRequest."""
        try:
            return self.value.decode()
        except UnicodeDecodeError:
            name = self.name[:100]
            raise InvalidRequest(f"The form's field '{name}' must be text.", name) from None


class Form:
    """``model`` and ``stream`` as sent. Raises InvalidRequest where there is no one model, or too
    much."""

    __slots__ = ("_begin", "_body", "_span", "asked")

    def __init__(self, body: bytes, content_type: bytes) -> None:
        match = _BOUNDARY.search(content_type)
        if match is None or not content_type.lower().startswith(b"multipart/form-data"):
            raise InvalidRequest("Send a form with files: Content-Type multipart/form-data.")
        values: dict[bytes, list[tuple[int, int]]] = {b"model": [], b"stream": []}
        mark = b"--" + (match[1] or match[2])
        for head, start, end in _parts(body, mark):
            name = _NAME.search(head)
            if name is not None:
                values[name[1].lower()].append((start, end))
        if len(values[b"model"]) != 1:
            raise InvalidRequest("The form needs one field 'model'.", "model")
        self._body = body
        self._begin = _first(body, mark)
        self._span = start, end = values[b"model"][0]
        if end - start > _VALUE_LIMIT:
            raise InvalidRequest("The form's field 'model' is too long.", "model")
        streams = [body[begin:stop].strip().lower() for begin, stop in values[b"stream"]]
        model = body[start:end].decode("utf-8", "replace")
        self.asked = Asked(model, streams == [b"true"])

    def whole(self) -> bytes:
        """From its first boundary on, which is the first line."""
        return self._body[self._begin :]

    def with_model(self, model: str) -> bytes:
        start, end = self._span
        return self._body[:start] + model.encode() + self._body[end:]


def fields_of(body: bytes) -> list[Field]:
    """All of them that have a name. ``body`` begins with its boundary (``Form.whole``). Raises
    InvalidRequest."""
    found = []
    for head, said, start, end in _named(body):
        kind = _TYPE.search(head)
        name, filename = _plain(said[b"name"]), _plain(said.get(b"filename", b""))
        media_type = _plain(kind[1]) if kind is not None else ""
        found.append(Field(name, body[start:end], filename, media_type))
    return found


def places_of(body: bytes) -> dict[str, tuple[int, int]]:
    """Where the value of each field begins and ends, the last of each name: nothing is copied. As
    ``fields_of``."""
    return {_plain(said[b"name"]): (start, end) for _, said, start, end in _named(body)}


def _named(body: bytes) -> Iterator[tuple[bytes, dict[bytes, bytes], int, int]]:
    mark = body[: max(0, body.find(b"\r\n"))]
    if not mark.startswith(b"--"):
        return
    for head, start, end in _parts(body, mark):
        options = _DISPOSITION.search(head)
        said = dict(_OPTION.findall(options[1])) if options is not None else {}
        if b"name" in said:
            yield head, said, start, end


def _plain(value: bytes) -> str:
    return value.strip(b'"').decode("utf-8", "replace").strip()


def _first(body: bytes, mark: bytes) -> int:
    return 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2


def _parts(body: bytes, mark: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Of each part its head, with the line break before it and one at its end, and where its value
    begins and ends. Raises InvalidRequest where they are too many."""
    at = _first(body, mark)
    count = 0
    while at >= 0 and body.startswith(mark, at):
        count += 1
        if count > _MOST:
            raise InvalidRequest(f"The form may have {_MOST} fields at most.")
        head = at + len(mark)
        if not body.startswith(b"\r\n", head):
            break
        following = body.find(b"\r\n" + mark, head)
        if following < 0:
            break
        blank = body.find(b"\r\n\r\n", head, min(following + 2, head + _HEAD_LIMIT))
        if blank >= 0:
            yield body[head : blank + 2], blank + 4, following
        at = following + 2
