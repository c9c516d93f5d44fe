"""Sums are told apart by deployment too, and say how quick streams were.

What is summed up already stays, under no deployment and without those figures, until
``manage.py rebuild_usage_sums`` works it out again from the records.
"""

import uuid

from django.db import migrations, models

import analytics.models.fields

INTERVALS = ("minute", "hour", "day")
BEFORE = (
    "tenant_id", "start", "api_id", "application_id", "plan_id", "model_id", "provider_id",
    "prompt_id", "status_class", "currency", "demo",
)  # fmt: skip
NOW = (*BEFORE[:7], "deployment_id", *BEFORE[7:])


def column(interval: str, name: str, kind: str, field: models.Field) -> migrations.RunSQL:
    # The default stays in the table: whoever writes by an older version names none of these.
    table = f"public.analytics_rollup{interval}"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD COLUMN {name} {kind}",
        f"ALTER TABLE {table} DROP COLUMN {name}",
        state_operations=[migrations.AddField(f"rollup{interval}", name, field)],
    )


def columns(interval: str) -> list[migrations.RunSQL]:
    nothing = uuid.UUID(int=0)
    told = {
        "cache_write_tokens": "",
        "streams": "Answers of models that came in pieces, and did come.",
        "first_token_us": "Of the streams, from the request's head to the first piece.",
        "written_tokens": "Output of the streams that came whole and whose tokens are known.",
        "writing_us": "Of the same streams, from the first piece to the last.",
    }
    deployment = models.UUIDField(
        default=nothing, help_text="Nothing too where it was counted before this was told apart."
    )
    histogram = analytics.models.fields.HistogramField(default=list)
    return [
        column(interval, "deployment_id", f"uuid NOT NULL DEFAULT '{nothing}'", deployment),
        *(
            column(
                interval,
                name,
                "bigint NOT NULL DEFAULT 0",
                models.BigIntegerField(default=0, help_text=text),
            )
            for name, text in told.items()
        ),
        column(interval, "first_token", "numeric NOT NULL DEFAULT 0", histogram),
    ]


def key(interval: str) -> migrations.RunSQL:
    """The new key first, so that there is no moment without one. Back again is refused by
    PostgreSQL where two deployments have sums that would be one."""
    table, name = f"public.analytics_rollup{interval}", f"one_rollup_per_{interval}"
    swap = (
        "ALTER TABLE {table} ADD CONSTRAINT {name}_new UNIQUE ({columns});"
        "ALTER TABLE {table} DROP CONSTRAINT {name};"
        "ALTER TABLE {table} RENAME CONSTRAINT {name}_new TO {name};"
    )
    return migrations.RunSQL(
        swap.format(table=table, name=name, columns=", ".join(NOW)),
        swap.format(table=table, name=name, columns=", ".join(BEFORE)),
        state_operations=[
            migrations.RemoveConstraint(f"rollup{interval}", name),
            migrations.AddConstraint(
                f"rollup{interval}", models.UniqueConstraint(fields=NOW, name=name)
            ),
        ],
    )


class Migration(migrations.Migration):
    dependencies = [("analytics", "0006_routing")]

    operations = [
        *(operation for interval in INTERVALS for operation in columns(interval)),
        *(key(interval) for interval in INTERVALS),
    ]
