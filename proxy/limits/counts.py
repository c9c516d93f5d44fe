"""Plain numbers about the limiter, for metrics. They only ever grow, but for the last."""

from __future__ import annotations

from msgspec import Struct


class Counts(Struct):
    checks: int = 0
    """Calls that asked for at least one limit."""
    refusals: int = 0
    failed_open: int = 0
    """Calls that passed uncounted because Valkey was away."""
    failed_closed: int = 0
    """Calls that were refused because Valkey was away."""
    estimated: int = 0
    """Calls settled at their estimate, since the provider reported no usage."""
    lost: int = 0
    """Settlements given up because Valkey was away for too long."""
    breaks: int = 0
    breaker_open: int = 0
    """Valkeys that are not asked at the moment."""
