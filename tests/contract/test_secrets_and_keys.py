"""Sealed values open only with the right key in the right place; keys are random digests."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from contract import keys
from contract.secrets import Sealer, SealError

OLD, NEW = "o" * 40, "n" * 40


def test_a_sealed_secret_opens_in_its_own_context_only() -> None:
    sealer = Sealer(NEW)
    sealed = sealer.seal("sk-live-1", "provider:alice")
    assert sealer.open(sealed, "provider:alice") == "sk-live-1"
    with pytest.raises(SealError):
        sealer.open(sealed, "provider:charlie")


def test_a_sealed_secret_does_not_hold_its_text_and_never_looks_the_same() -> None:
    sealer = Sealer(NEW)
    first, second = sealer.seal("sk-live-1", "c"), sealer.seal("sk-live-1", "c")
    assert b"sk-live-1" not in first
    assert first != second


def test_after_a_rotation_old_values_open_and_new_ones_need_the_new_key() -> None:
    sealed_before = Sealer(OLD).seal("secret", "c")
    rotated = Sealer(f"{NEW},{OLD}")
    assert rotated.open(sealed_before, "c") == "secret"
    with pytest.raises(SealError):
        Sealer(OLD).open(rotated.seal("secret", "c"), "c")


def test_a_damaged_value_does_not_open() -> None:
    sealer = Sealer(NEW)
    sealed = bytearray(sealer.seal("secret", "c"))
    sealed[-1] ^= 1
    for damaged in (bytes(sealed), b"", b"short"):
        with pytest.raises(SealError):
            sealer.open(damaged, "c")


@pytest.mark.parametrize("keys_text", ["", "short", f"{NEW},short", " , "])
def test_weak_or_missing_keys_are_refused(keys_text: str) -> None:
    with pytest.raises(SealError, match="HUBPO_SECRET_KEY"):
        Sealer(keys_text)


def test_api_keys_are_random_and_known_by_their_sha256() -> None:
    made = {keys.new_api_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"hub_[A-Za-z0-9_-]{32}", key) for key in made)
    key = made.pop()
    assert keys.digest(key) == keys.digest(key.encode()) == sha256(key.encode()).digest()


def test_names_of_one_tenant_never_equal_those_of_another() -> None:
    assert keys.snapshot_blob("a") != keys.snapshot_blob("b")
    assert keys.limit_counter("a", "calls", "s", "60") != keys.limit_counter(
        "b", "calls", "s", "60"
    )
