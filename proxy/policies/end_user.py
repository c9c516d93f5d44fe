"""The end user that a call is made for, as the API's ``user_from`` says."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from proxy.limits.errors import UserRequired

if TYPE_CHECKING:
    from proxy.exchange import Exchange

LONGEST_TOKEN = 16_384

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder(str | int).decode


def reader(user_from: str) -> Callable[[Exchange], str]:
    """A function from a call to its user's name, which raises UserRequired where it names none."""
    kind, _, name = user_from.partition(":")
    header = name.lower().encode()

    def by_header(exchange: Exchange) -> str:
        user = exchange.headers.get(header, b"").strip()
        if not user:
            raise UserRequired(user_from)
        return user.decode("latin-1")

    def by_claim(exchange: Exchange) -> str:
        user = claim(exchange.headers.get(b"authorization", b""), name)
        if not user:
            raise UserRequired(user_from)
        return user

    def nobody(exchange: Exchange) -> str:
        raise UserRequired("")

    return {"header": by_header, "claim": by_claim}.get(kind, nobody)


def claim(authorization: bytes, name: str) -> str:
    """A claim of the JWT in an Authorization header, or empty.

    The signature is not looked at: the claim only says on whose account the application
    wants the call to be counted.
    """
    scheme, _, token = authorization.partition(b" ")
    parts = token.strip().split(b".")
    if scheme.lower() != b"bearer" or len(parts) != 3 or len(token) > LONGEST_TOKEN:
        return ""
    try:
        claims = _decode(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
        return str(_decode_value(claims[name])).strip() if name in claims else ""
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return ""
