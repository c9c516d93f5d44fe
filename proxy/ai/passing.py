"""Requests that a provider is sent in the client's own format: the bytes go through.

Where the provider knows the model by another name, or cannot be told something as it was said, the
top level of the JSON is written anew and every other value in it stays as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from contract.quirks import Quirks
from proxy.ai import fitting, values
from proxy.ai.errors import InvalidJson, InvalidRequest
from proxy.ai.middle.rules import Notes

_WITH_USAGE = Raw(b'{"include_usage":true}')


class StreamOptions(Struct):
    include_usage: bool | None = None


class Asked(Struct):
    """The fields of a request that decide how it is handled."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class AskedToKeep(Asked):
    """Of a format whose providers may keep answers (``proxy.ai.stored``)."""

    background: bool | UnsetType | None = UNSET
    store: bool | None = None
    previous_response_id: str | None = None


_decode_asked = msgspec.json.Decoder(Asked).decode
_decode_asked_to_keep = msgspec.json.Decoder(AskedToKeep).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def parse(body: bytes, decode: Callable[[bytes], Asked] = _decode_asked) -> Asked:
    """Raises InvalidJson, and InvalidRequest with the field's name."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(str(error)) from error
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error


def parse_to_keep(body: bytes) -> Asked:
    """As ``parse``, with the fields of ``AskedToKeep``."""
    return parse(body, _decode_asked_to_keep)


def invalid(message: str) -> InvalidRequest:
    """msgspec says what is wrong and, after `` - at `` in backticks, where."""
    reason, _, path = message.partition(" - at `$")
    missing = re.search(r"required field `(\w+)`", reason)
    param = missing[1] if missing else path.strip("`.") or None
    if param is None:
        return InvalidRequest("The request body must be a JSON object.")
    what = "is missing" if missing else f"is wrong: {reason[:1].lower()}{reason[1:]}"
    return InvalidRequest(f"The field '{param}' {what}.", param)


def prepare(
    body: bytes,
    asked: Asked,
    model: str,
    quirks: Quirks | None,
    spoken: str,
    notes: Notes,
    *,
    ask_usage: bool,
) -> bytes:
    """The client's body, in the format ``spoken``, for a provider that knows the model as
    ``model``.

    ``ask_usage``: it is a stream in whose request the usage must be asked for. Untouched where
    nothing is to be changed. Raises ParameterUnsupported, TooManyValues, and InvalidJson where a
    name or a value is no text or too deep, which ``parse`` does not look at.
    """
    same = asked.model == model and not ask_usage and _unambiguous(body, asked)
    if same and quirks is None:
        return body
    values.check(body)
    try:
        fields = _decode_fields(body)
        if ask_usage:
            fields["stream_options"] = _stream_options(fields.get("stream_options"))
        changed = quirks is not None and fitting.fit(fields, quirks, spoken, notes)
    except UnicodeDecodeError as error:
        raise InvalidJson(str(error)) from error
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error
    if same and not changed:
        return body
    fields["model"] = Raw(_encode(model))
    return _encode(fields)


def without(body: bytes, *names: str) -> bytes:
    """The client's body without these fields, and with each other one but once: the last of its
    name. Raises TooManyValues."""
    values.check(body)
    fields = _decode_fields(body)
    for name in names:
        fields.pop(name, None)
    return _encode(fields)


def fitted(body: bytes, quirks: Quirks | None, spoken: str, notes: Notes) -> bytes:
    """A request that was written for the provider, fitted to what it takes."""
    if quirks is None:
        return body
    fields = _decode_fields(body)
    return _encode(fields) if fitting.fit(fields, quirks, spoken, notes, own=False) else body


def _stream_options(given: Raw | None) -> Raw:
    if given is None or bytes(given) == b"null":
        return _WITH_USAGE
    options = _decode_fields(given)
    options["include_usage"] = Raw(b"true")
    return Raw(_encode(options))


def _unambiguous(body: bytes, asked: Asked) -> bool:
    """No key that decides can be there twice, so that the provider reads what we read.

    ``\\u006`` begins the escape of every letter from a to o: the only other way to write
    these keys.
    """
    return (
        body.count(b'"model"') == 1
        and (asked.stream_options is None or body.count(b'"stream_options"') == 1)
        and (b"\\" not in body or b"\\u006" not in body)
    )
