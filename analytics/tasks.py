"""Usage in the background: ingest every second, alerts every minute, reports, retention."""

from __future__ import annotations

from functools import cache
from time import monotonic

import redis
from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone
from django_tenants.utils import schema_context

from analytics import reports, retention
from analytics.alerts.deliver import TRIES, deliver, forgotten
from analytics.alerts.evaluate import evaluate_all
from analytics.ingest import Stream, consume

LOCK = "hubpo:usage:ingest"
LOCK_SECONDS = 6.0
"""How long nothing is ingested after an ingester was killed."""

DRAIN_SECONDS = 20.0
SLICE_SECONDS = 2.0
"""The lock is renewed this often, and a batch takes far less than the rest of its time."""


@cache
def _stream() -> Stream:
    """One consumer for each process."""
    return Stream(settings.REDIS_URL)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.BROKER_URL, socket_timeout=10)


@shared_task(name="analytics.ingest")
def ingest() -> int:
    """Empties the stream unless somebody is at it; returns how many calls were new.

    One ingester at a time saves work; that two do no harm is the tables' doing, not the lock's.
    """
    lock = _client().lock(LOCK, timeout=LOCK_SECONDS, thread_local=False)
    if not lock.acquire(blocking=False):
        return 0
    total, deadline = 0, monotonic() + DRAIN_SECONDS
    try:
        with schema_context("public"):
            while monotonic() < deadline and (new := consume(_stream(), seconds=SLICE_SECONDS)):
                total += new
                lock.reacquire()
    finally:
        if lock.owned():
            lock.release()
    return total


@shared_task(name="analytics.sweep")
def sweep() -> None:
    """Drops what is older than it is kept, and prepares the days to come."""
    with schema_context("public"):
        now = timezone.now()
        retention.prepare(now)
        retention.sweep(now)
    _stream().drop_consumers()


@shared_task(name="analytics.write_reports")
def write_reports() -> int:
    """Writes the trend reports that are due and missing; returns how many."""
    with schema_context("public"):
        return reports.write_all(timezone.now())


@shared_task(name="analytics.evaluate_alerts")
def evaluate_alerts() -> int:
    """Decides every alert rule, and takes up what was left unsent; returns how many changed."""
    with schema_context("public"):
        now = timezone.now()
        for delivery_id in forgotten(now):
            deliver_alert.delay(delivery_id)
        return len(evaluate_all(now, deliver_alert.delay))


@shared_task(name="analytics.deliver_alert", bind=True, max_retries=TRIES)
def deliver_alert(self: Task, delivery_id: int) -> None:
    """Tells of an event by one way; tries again after 5 and after 20 seconds."""
    with schema_context("public"):
        wait = deliver(delivery_id)
    if wait is not None:
        raise self.retry(countdown=wait)
