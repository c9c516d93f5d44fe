"""Requests that are forms with files (``multipart/form-data``): only two of their fields matter.

Source: RFC 7578. The parts between the boundaries stay as they came; where the provider knows the
model by another name that one value is put in its place.
"""

from __future__ import annotations

import re

from proxy.ai.errors import InvalidRequest
from proxy.ai.passing import Asked

_BOUNDARY = re.compile(rb'boundary=(?:"([^"\r\n]{1,70})"|([^;\s"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?(model|stream)"?\s*(?:;|\r\n|$)', re.I)
_HEAD_LIMIT = 4096
_VALUE_LIMIT = 256


class Form:
    """``model`` and ``stream`` as sent. Raises InvalidRequest where there is no one model."""

    __slots__ = ("_body", "_span", "asked")

    def __init__(self, body: bytes, content_type: bytes) -> None:
        match = _BOUNDARY.search(content_type)
        if match is None or not content_type.lower().startswith(b"multipart/form-data"):
            raise InvalidRequest("Send a form with files: Content-Type multipart/form-data.")
        values: dict[bytes, list[tuple[int, int]]] = {b"model": [], b"stream": []}
        for name, start, end in _fields(body, match[1] or match[2]):
            values[name].append((start, end))
        if len(values[b"model"]) != 1:
            raise InvalidRequest("The form needs one field 'model'.", "model")
        self._body = body
        self._span = start, end = values[b"model"][0]
        if end - start > _VALUE_LIMIT:
            raise InvalidRequest("The form's field 'model' is too long.", "model")
        streams = [body[begin:stop].strip().lower() for begin, stop in values[b"stream"]]
        model = body[start:end].decode("utf-8", "replace")
        self.asked = Asked(model, streams == [b"true"])

    def with_model(self, model: str) -> bytes:
        start, end = self._span
        return self._body[:start] + model.encode() + self._body[end:]


def _fields(body: bytes, boundary: bytes) -> list[tuple[bytes, int, int]]:
    """Of the parts that matter: name, and where their value begins and ends."""
    mark = b"--" + boundary
    found = []
    at = 0 if body.startswith(mark) else body.find(b"\r\n" + mark) + 2
    while at >= 0 and body.startswith(mark, at):
        head = at + len(mark)
        if not body.startswith(b"\r\n", head):
            break
        following = body.find(b"\r\n" + mark, head)
        if following < 0:
            break
        blank = body.find(b"\r\n\r\n", head, min(following + 2, head + _HEAD_LIMIT))
        if blank >= 0:
            name = _NAME.search(body, head, blank + 2)
            if name is not None:
                found.append((name[1].lower(), blank + 4, following))
        at = following + 2
    return found
