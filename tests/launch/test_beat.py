"""Beat keeps its pace whatever the wall clock does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from time import time

import pytest
from celery import Celery
from celery.beat import event_t

from config.beat import Scheduler

HOUR = timedelta(hours=1)


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"often": {"task": "often", "schedule": timedelta(seconds=30)}}
    app.conf.result_expires = None  # no entry of Celery's own
    return Scheduler(app, schedule_filename=str(tmp_path / "schedule"), max_interval=300)


def runs(scheduler: Scheduler) -> int:
    return scheduler.schedule["often"].total_run_count


def test_what_ran_by_a_clock_that_was_an_hour_ahead_runs_again_in_its_time(
    scheduler: Scheduler,
) -> None:
    scheduler.tick()
    entry = scheduler.schedule["often"]
    entry.last_run_at += HOUR
    scheduler._heap = [event_t(time() + HOUR.total_seconds(), 5, entry)]
    assert 20 < scheduler.tick() <= 30
    assert runs(scheduler) == 0


def test_a_clock_that_is_set_forward_makes_it_run_once(scheduler: Scheduler) -> None:
    scheduler.tick()
    entry = scheduler.schedule["often"]
    entry.last_run_at -= HOUR
    scheduler._heap = [event_t(time() - HOUR.total_seconds(), 5, entry)]
    while not scheduler.tick():
        pass
    assert runs(scheduler) == 1
