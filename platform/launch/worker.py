"""``python -m launch.worker``: the Celery worker with beat, in one process of threads.

``celery worker --beat`` would fork a process for beat and others for tasks, which cost memory
and would outlive a worker that is killed.
"""

from __future__ import annotations

import warnings

from celery.beat import EmbeddedService
from celery.platforms import SecurityWarning
from celery.signals import worker_ready

from config import env
from config.celery import app
from launch.process import announce_ready

CONCURRENCY = 3


def main() -> None:
    # It warns root of pickled tasks; ours are JSON.
    warnings.simplefilter("ignore", SecurityWarning)
    schedule = env.var_dir() / "beat" / "schedule"
    schedule.parent.mkdir(parents=True, exist_ok=True)
    worker = app.Worker(
        pool="threads",
        concurrency=CONCURRENCY,
        hostname="worker@hubpo",
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    beat = EmbeddedService(
        app, thread=True, schedule_filename=str(schedule), scheduler_cls=app.conf.beat_scheduler
    )
    beat.daemon = True

    @worker_ready.connect(weak=False)
    def _ready(**_: object) -> None:
        beat.start()
        announce_ready()

    worker.start()
    raise SystemExit(worker.exitcode)


if __name__ == "__main__":
    main()
