"""Records tell the digest of the end user, where a limit for each of them applied."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0004_attempts'),
    ]

    operations = [
        # The default stays in the table: whoever writes by an older version names no user.
        migrations.RunSQL(
            "ALTER TABLE public.analytics_usagerecord ADD COLUMN end_user text NOT NULL DEFAULT ''",
            "ALTER TABLE public.analytics_usagerecord DROP COLUMN end_user",
            state_operations=[
                migrations.AddField(
                    model_name='usagerecord',
                    name='end_user',
                    field=models.TextField(blank=True, default=''),
                ),
            ],
        ),
    ]
