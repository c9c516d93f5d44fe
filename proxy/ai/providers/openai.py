"""Providers that speak OpenAI's wire format, which is also the clients' format.

Source: OpenAI's API reference, chat completions and embeddings.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from proxy.ai.errors import InvalidJson, InvalidRequest

CHAT = "/chat/completions"
EMBEDDINGS = "/embeddings"

_PASSED_ON = (b"accept", b"user-agent", b"openai-beta")
_WITH_USAGE = Raw(b'{"include_usage":true}')


class StreamOptions(Struct):
    include_usage: bool | None = None


class Call(Struct):
    """The fields of a chat or embeddings request that decide how it is handled."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def lacks_usage(self) -> bool:
        """A stream whose client did not ask for the usage that we need to know."""
        options = self.stream_options
        return self.stream is True and (options is None or options.include_usage is not True)


_decode_call = msgspec.json.Decoder(Call).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> Call:
    """Raises InvalidJson, and InvalidRequest with the field's name."""
    try:
        return _decode_call(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(str(error)) from error
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error


def _invalid(message: str) -> InvalidRequest:
    """msgspec says what is wrong and, after `` - at `` in backticks, where."""
    reason, _, path = message.partition(" - at `$")
    missing = re.search(r"required field `(\w+)`", reason)
    param = missing[1] if missing else path.strip("`.") or None
    if param is None:
        return InvalidRequest("The request body must be a JSON object.")
    what = "is missing" if missing else f"is wrong: {reason[:1].lower()}{reason[1:]}"
    return InvalidRequest(f"The field '{param}' {what}.", param)


def prepare(body: bytes, call: Call, model: str) -> bytes:
    """The client's body for a provider that knows the model as ``model``.

    Untouched where nothing is to be changed. Otherwise the top level is written anew,
    every value as it came, with the provider's model name and usage asked for in streams.
    """
    if call.model == model and not call.lacks_usage and _unambiguous(body, call):
        return body
    fields = _decode_fields(body)
    fields["model"] = Raw(_encode(model))
    if call.lacks_usage:
        fields["stream_options"] = _stream_options(fields.get("stream_options"))
    return _encode(fields)


def _stream_options(given: Raw | None) -> Raw:
    if given is None or bytes(given) == b"null":
        return _WITH_USAGE
    options = _decode_fields(given)
    options["include_usage"] = Raw(b"true")
    return Raw(_encode(options))


def _unambiguous(body: bytes, call: Call) -> bool:
    """No key that decides can be there twice, so that the provider reads what we read.

    ``\\u006`` begins the escape of every letter from a to o: the only other way to write
    these keys.
    """
    return (
        body.count(b'"model"') == 1
        and (call.stream_options is None or body.count(b'"stream_options"') == 1)
        and b"\\u006" not in body
    )


def headers(
    credential: bytes | None, request_headers: dict[bytes, bytes]
) -> list[tuple[bytes, bytes]]:
    """What the provider is sent: never the client's credentials, cookies or addresses."""
    sent = [(b"content-type", b"application/json")]
    for name in _PASSED_ON:
        value = request_headers.get(name)
        if value is not None:
            sent.append((name, value))
    if credential is not None:
        sent.append((b"authorization", credential))
    return sent
