"""Sealing of secrets that must be stored and read back, such as provider credentials.

AES-256-GCM under a key derived from ``HUBPO_SECRET_KEY``; a list of keys separated by
commas opens with any and seals with the first, which is how a key is rotated. The
context (for example the tenant id) is authenticated, so a sealed value moved to
another tenant does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class SealError(ValueError):
    """A sealed value that no configured key opens in this context."""


def _derived(key: str, info: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=info).derive(key.encode())


def _parts(keys: str) -> list[str]:
    parts = [part.strip() for part in keys.split(",") if part.strip()]
    if not parts or min(map(len, parts)) < 32:
        raise SealError("HUBPO_SECRET_KEY must hold keys of at least 32 characters.")
    return parts


def provider_context(tenant_id: str) -> str:
    """The context of a tenant's provider credentials; both planes must use this one."""
    return f"provider:{tenant_id}"


class Sealer:
    """``keys``: one or more secrets separated by commas, the first of which seals."""

    def __init__(self, keys: str) -> None:
        self._ciphers = [AESGCM(_derived(part, b"hubpo sealed values")) for part in _parts(keys)]

    def seal(self, secret: str, context: str) -> bytes:
        """Nonce and ciphertext in one value."""
        return self.seal_bytes(secret.encode(), context)

    def seal_bytes(self, secret: bytes, context: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> str:
        """Raises SealError where the value was sealed under other keys or for another context."""
        try:
            return self.open_bytes(sealed, context).decode()
        except UnicodeDecodeError as error:
            raise SealError("What was sealed is no text.") from error

    def open_bytes(self, sealed: bytes, context: str) -> bytes:
        """As ``open``."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, ciphertext, context.encode())
            except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
                continue
        raise SealError("The secret was sealed with another key: enter it again.")


class Signer:
    """Signs what is handed out and comes back: HMAC-SHA256, cut to 16 bytes, under keys derived as
    a ``Sealer``'s are. What was signed in another context is not known in this one."""

    SIZE = 16

    def __init__(self, keys: str) -> None:
        self._keys = [_derived(part, b"hubpo signed values") for part in _parts(keys)]

    def sign(self, value: bytes, *context: str) -> bytes:
        return self._signature(self._keys[0], value, context)

    def knows(self, value: bytes, signature: bytes, *context: str) -> bool:
        signatures = [self._signature(key, value, context) for key in self._keys]
        return any(hmac.compare_digest(signature, own) for own in signatures)

    def _signature(self, key: bytes, value: bytes, context: tuple[str, ...]) -> bytes:
        # Each part by its own digest, so that none can be moved into its neighbour.
        text = b"".join(hashlib.sha256(part.encode()).digest() for part in context)
        return hmac.digest(key, text + value, "sha256")[: self.SIZE]
