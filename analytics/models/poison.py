"""What arrived in place of a usage event and could not be recorded."""

from __future__ import annotations

from django.db import models


class PoisonEntry(models.Model):
    """A stream entry that was set aside so that the others could go on; for the operator."""

    entry_id = models.TextField(unique=True, help_text="The entry's place in the stream.")
    reason = models.TextField()
    body = models.BinaryField(help_text="The entry as it came.")
    seen_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-seen_at", "-id"]
        verbose_name = "refused usage entry"
        verbose_name_plural = "refused usage entries"

    def __str__(self) -> str:
        return f"{self.entry_id}: {self.reason}"
