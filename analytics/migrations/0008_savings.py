"""Records and sums tell what was saved against the model that the called one is compared with."""

from django.db import migrations, models


def column(table: str, kind: str, field: models.Field) -> migrations.RunSQL:
    # The default stays in the table: whoever writes by an older version does not name it.
    return migrations.RunSQL(
        f"ALTER TABLE public.analytics_{table} ADD COLUMN saved_micros {kind}",
        f"ALTER TABLE public.analytics_{table} DROP COLUMN saved_micros",
        state_operations=[migrations.AddField(table, "saved_micros", field)],
    )


class Migration(migrations.Migration):
    dependencies = [("analytics", "0007_deployments_and_first_tokens")]

    operations = [
        column("usagerecord", "bigint", models.BigIntegerField(null=True)),
        *(
            column(
                f"rollup{interval}",
                "bigint NOT NULL DEFAULT 0",
                models.BigIntegerField(
                    default=0, help_text="Against the models that those called are compared with."
                ),
            )
            for interval in ("minute", "hour", "day")
        ),
    ]
