"""The ids of files and batches that clients see, and the marks by which the gateway knows its own.

Nothing is stored. An id holds whose deployment the object belongs to and what the provider calls
it, and is signed for one application of one tenant: in any other hands it is as unknown as one
that was made up. What providers list does not hold our ids, so that each object also bears a mark,
signed in the same way: a file in front of its name, a batch in its metadata.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Literal

import msgspec
from msgspec import Struct

from contract.secrets import Signer

Kind = Literal["file", "batch", "file mark", "batch mark"]

METADATA = "hubpo"
"""The key of a batch's mark."""
_NAME = re.compile(r"hubpo-([A-Za-z0-9_-]{1,400})~(.*)", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,600}")
_PREFIXES: dict[Kind, str] = {"file": "file-", "batch": "batch_"}
_encode = msgspec.msgpack.Encoder().encode


class Mark(Struct, frozen=True, array_like=True):
    """``id`` is the provider's, empty in what the provider keeps. ``input_tokens`` and
    ``output_tokens`` are what a file's requests may use (``proxy.ai.estimate``); ``batch``: the
    provider's id of the batch whose answers a file holds. Of a batch ``bill`` is what limits count
    it by, empty where none does, ``key`` the id of the API key that made it, ``user`` the
    digest of the end user for whom, and ``file`` the id of its requests where the provider does not
    tell it."""

    deployment: str
    id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    batch: str = ""
    bill: str = ""
    key: str = ""
    user: str = ""
    file: str = ""


_decode = msgspec.msgpack.Decoder(Mark).decode


class Marks:
    """Of one application."""

    def __init__(self, signer: Signer, tenant_id: str, application_id: str) -> None:
        self._signer = signer
        self._whose = (tenant_id, application_id)

    def write(self, kind: Kind, mark: Mark) -> str:
        value = _encode(mark)
        signed = value + self._signer.sign(value, kind, *self._whose)
        return _PREFIXES.get(kind, "") + urlsafe_b64encode(signed).rstrip(b"=").decode()

    def read(self, kind: Kind, text: object) -> Mark | None:
        """None for all that was not written for this application."""
        prefix = _PREFIXES.get(kind, "")
        if not isinstance(text, str) or not text.startswith(prefix):
            return None
        text = text[len(prefix) :]
        if not _TOKEN.fullmatch(text):
            return None
        try:
            signed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except Error:
            return None
        value, signature = signed[: -Signer.SIZE], signed[-Signer.SIZE :]
        if not self._signer.knows(value, signature, kind, *self._whose):
            return None
        return _decode(value)

    def name(self, mark: Mark, name: str) -> str:
        """What a provider is to call a file that its client calls ``name``."""
        return f"hubpo-{self.write('file mark', mark)}~{name}"

    def named(self, name: object) -> tuple[Mark, str] | None:
        """The mark of a file that belongs here, and what its client called it."""
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        mark = self.read("file mark", match[1]) if match is not None else None
        return (mark, match[2]) if match is not None and mark is not None else None
