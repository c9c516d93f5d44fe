"""JSON from outside, taken apart field by field: every wrong type is a clear error.

``decode`` gives plain Python values. ``Fields`` hands out the fields of one object by name and
type; what nobody asked for is the ``rest``, so that nothing a format does not know is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest

Wrong = Callable[[str, str], Exception]
"""From the path of a field and what it must be, like ``a string``, to what is raised."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def wrong_request(path: str, must_be: str) -> InvalidRequest:
    if not path:
        return InvalidRequest(f"The request body must be {must_be}.")
    return InvalidRequest(f"The field '{path[:200]}' must be {must_be}.", path[:200])


def wrong_answer(path: str, must_be: str) -> AnswerUnreadable:
    return AnswerUnreadable()


def decode(body: bytes) -> Any:
    """Raises InvalidJson."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(str(error)) from error
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error


def encode(value: Any) -> bytes:
    """Raises InvalidJson where what was read is nested too deeply to be written."""
    try:
        return _encode(value)
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error


def request_fields(body: bytes) -> Fields:
    """Raises InvalidJson, and InvalidRequest where the body is no object."""
    return Fields(decode(body), "", wrong_request)


def answer_fields(body: bytes) -> Fields:
    """Raises AnswerUnreadable."""
    try:
        return Fields(decode(body), "", wrong_answer)
    except InvalidJson as error:
        raise AnswerUnreadable from error


def tables(value: Any) -> list[dict[str, Any]] | None:
    """An array of objects with something in it, as it is; None for all else."""
    if type(value) is not list or not all(type(entry) is dict for entry in value):
        return None
    return value or None


class Fields:
    """The fields of an object that are still to be taken. Null is the same as not there."""

    __slots__ = ("_left", "_wrong", "path")

    def __init__(self, value: Any, path: str, wrong: Wrong) -> None:
        if type(value) is not dict:
            raise wrong(path, "an object")
        self._left = dict(value)
        self._wrong = wrong
        self.path = path
        """Like ``messages[2].content[0]``; empty for the outermost object."""

    def take(self, name: str) -> Any:
        """Of any type."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str:
        """Empty where it is not there."""
        value = self._left.pop(name, None)
        if value is None:
            return ""
        if type(value) is not str:
            raise self.wrong(name, "a string")
        return value

    def flag(self, name: str) -> bool | None:
        value = self._left.pop(name, None)
        if value is not None and type(value) is not bool:
            raise self.wrong(name, "true or false")
        return value

    def whole(self, name: str) -> int | None:
        value = self._left.pop(name, None)
        if type(value) is float and value.is_integer():
            return int(value)
        if value is not None and type(value) is not int:
            raise self.wrong(name, "a whole number")
        return value

    def number(self, name: str) -> float | None:
        value = self._left.pop(name, None)
        if value is not None and type(value) is not float and type(value) is not int:
            raise self.wrong(name, "a number")
        return value

    def table(self, name: str) -> dict[str, Any] | None:
        """An object, as it is."""
        value = self._left.pop(name, None)
        if value is not None and type(value) is not dict:
            raise self.wrong(name, "an object")
        return value

    def items(self, name: str) -> list[Any]:
        """An array, as it is; empty where it is not there."""
        value = self._left.pop(name, None)
        if value is None:
            return []
        if type(value) is not list:
            raise self.wrong(name, "an array")
        return value

    def texts(self, name: str) -> list[str]:
        values = self.items(name)
        for value in values:
            if type(value) is not str:
                raise self.wrong(name, "an array of strings")
        return values

    def inner(self, name: str) -> Fields | None:
        """The fields of an object inside."""
        value = self._left.pop(name, None)
        return None if value is None else self.at(value, name)

    def each(self, name: str) -> list[Fields]:
        """The fields of each object of an array."""
        return [self.at(value, f"{name}[{i}]") for i, value in enumerate(self.items(name))]

    def at(self, value: Any, name: str) -> Fields:
        """The fields of an object that was taken already, and stood at ``name``."""
        return Fields(value, self._path(name), self._wrong)

    def has(self, name: str) -> bool:
        return self._left.get(name) is not None

    def rest(self) -> dict[str, Any]:
        """What was not taken."""
        return {name: value for name, value in self._left.items() if value is not None}

    def wrong(self, name: str, must_be: str) -> Exception:
        return self._wrong(self._path(name), must_be)

    def _path(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
