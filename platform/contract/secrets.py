"""Sealing of secrets that must be stored and read back, such as provider credentials.

AES-256-GCM under a key derived from ``HUBPO_SECRET_KEY``; a list of keys separated by
commas opens with any and seals with the first, which is how a key is rotated. The
context (for example the tenant id) is authenticated, so a sealed value moved to
another tenant does not open.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class SealError(ValueError):
    """A sealed value that no configured key opens in this context."""


def _cipher(key: str) -> AESGCM:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"hubpo sealed values").derive(key.encode())
    return AESGCM(derived)


def provider_context(tenant_id: str) -> str:
    """The context of a tenant's provider credentials; both planes must use this one."""
    return f"provider:{tenant_id}"


class Sealer:
    """``keys``: one or more secrets separated by commas, the first of which seals."""

    def __init__(self, keys: str) -> None:
        parts = [part.strip() for part in keys.split(",") if part.strip()]
        if not parts or min(map(len, parts)) < 32:
            raise SealError("HUBPO_SECRET_KEY must hold keys of at least 32 characters.")
        self._ciphers = [_cipher(part) for part in parts]

    def seal(self, secret: str, context: str) -> bytes:
        """Nonce and ciphertext in one value."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, secret.encode(), context.encode())

    def open(self, sealed: bytes, context: str) -> str:
        """Raises SealError where the value was sealed under other keys or for another context."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, ciphertext, context.encode()).decode()
            except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
                continue
        raise SealError("The secret was sealed with another key: enter it again.")
