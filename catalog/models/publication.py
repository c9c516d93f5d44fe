"""What was sent to the gateways, and what was refused."""

from __future__ import annotations

from django.db import models

from catalog.models.base import Row


class Publication(Row):
    """One compiled snapshot. A refused or waiting one left its predecessor in force.

    A waiting one could not be stored, and is tried again until it can.
    """

    class Status(models.TextChoices):
        PUBLISHED = "published", "Published"
        REFUSED = "refused", "Refused"
        WAITING = "waiting", "Waiting for the gateway's store"

    version = models.PositiveBigIntegerField(unique=True)
    status = models.CharField(max_length=10, choices=Status)
    digest = models.CharField(max_length=64)
    size = models.PositiveIntegerField("size, bytes", default=0)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"Version {self.version}"
