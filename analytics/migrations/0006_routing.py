"""Records tell how a model's deployment was chosen and told, and what was written to a cache."""

from django.db import migrations, models


def column(name: str, kind: str, field: models.Field) -> migrations.RunSQL:
    # The default stays in the table: whoever writes by an older version names none of these.
    return migrations.RunSQL(
        f"ALTER TABLE public.analytics_usagerecord ADD COLUMN {name} {kind}",
        f"ALTER TABLE public.analytics_usagerecord DROP COLUMN {name}",
        state_operations=[migrations.AddField("usagerecord", name, field)],
    )


class Migration(migrations.Migration):
    dependencies = [("analytics", "0005_end_users")]

    operations = [
        column("routed", "text NOT NULL DEFAULT ''", models.TextField(blank=True, default="")),
        column("adapted", "text NOT NULL DEFAULT ''", models.TextField(blank=True, default="")),
        column("cache_write_tokens", "bigint", models.BigIntegerField(null=True)),
    ]
