"""Where reservations are written down: in the ledger of the Valkey that has the tenant."""

from __future__ import annotations

from typing import Protocol

from proxy.limits.items import Counter


class Books(Protocol):
    def add(self, counter: Counter, amount: int) -> None:
        """So much more is held."""

    def forget(self, counter: Counter, amount: int) -> None:
        """So much is held no longer, and Valkey need not be told now."""

    def doubt(self, counter: Counter) -> None:
        """It is not known whether more is held: an answer was lost."""

    def settle(self, counter: Counter, freed: int, used: int) -> None:
        """So much is held no longer, and so much was used."""
