"""Records tell what a call did that may be billed otherwise than by the token."""

from django.db import migrations, models


def column(name: str, kind: str, field: models.Field) -> migrations.RunSQL:
    # The default stays in the table: whoever writes by an older version names none of these.
    return migrations.RunSQL(
        f"ALTER TABLE public.analytics_usagerecord ADD COLUMN {name} {kind}",
        f"ALTER TABLE public.analytics_usagerecord DROP COLUMN {name}",
        state_operations=[migrations.AddField("usagerecord", name, field)],
    )


class Migration(migrations.Migration):
    dependencies = [("analytics", "0008_savings")]

    operations = [
        column("measure", "text NOT NULL DEFAULT ''", models.TextField(blank=True, default="")),
        column("measured", "bigint", models.BigIntegerField(null=True)),
        column(
            "measured_kind", "text NOT NULL DEFAULT ''", models.TextField(blank=True, default="")
        ),
    ]
