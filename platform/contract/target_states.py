"""What a gateway worker tells of a tenant's targets.

Each worker stores it every few seconds under its own name (``keys.target_states``), where it
expires unless it is told again, and adds that name to ``keys.target_tellers``. A target of
which a worker says nothing is healthy as far as it knows.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

EVERY = 5.0
"""Seconds between two tellings by a worker."""
EXPIRES = 16
"""Seconds after which what was told no longer counts."""
MOST = 500
"""Targets of one tenant that a worker tells of."""

WORST_FIRST = ("down", "open", "half-open", "resting", "failing", "healthy")
"""The states there are."""


class Told(Struct, frozen=True):
    host: str
    """The machine that the worker runs on."""
    states: dict[str, str]
    """Target or deployment id -> ``healthy`` (its probes say so), ``failing`` (some calls or
    probes have failed, and it is still used), ``open``, ``half-open``, ``down`` (its probes say
    so) or ``resting`` (used last)."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Told)


def encode(told: Told) -> bytes:
    return _encoder.encode(told)


def decode(blob: bytes) -> Told:
    """Raises msgspec.DecodeError for anything else than what ``encode`` made."""
    return _decoder.decode(blob)
