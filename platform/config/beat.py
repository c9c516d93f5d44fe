"""Celery's beat, which keeps its pace when the wall clock is set back.

Celery waits until the wall clock is past the last run by the interval. After a clock was set
back by an hour, nothing would be ingested for an hour.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.beat import PersistentScheduler

AHEAD = timedelta(seconds=2)
"""What ran later than this from now ran by another clock."""


class Scheduler(PersistentScheduler):
    def tick(self, *given: Any, **named: Any) -> float:
        """Runs what is due; the seconds until the next look."""
        for entry in self.schedule.values():
            now = entry.default_now()
            if entry.last_run_at > now + AHEAD:
                entry.last_run_at = now
                self._heap = None  # it is ordered by the old clock; made anew by the real tick
        return super().tick(*given, **named)
