"""Providers have a kind, of which the wire format follows, and what the kind asks for."""

from django.db import migrations, models

import catalog.validators
from contract.presets import PRESETS

CHOICES = [(preset.name, preset.title) for preset in PRESETS.values()]


def name_the_known(apps, schema_editor):
    providers = apps.get_model("catalog", "Provider").objects
    for preset in PRESETS.values():
        if preset.wire_format == "openai" and preset.base_url:
            providers.filter(base_url__startswith=preset.base_url).update(preset=preset.name)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0006_upstream_resilience")]

    operations = [
        migrations.RemoveField("provider", "wire_format"),
        migrations.AddField(
            "provider",
            "preset",
            models.CharField(
                "kind",
                max_length=20,
                choices=CHOICES,
                default="compatible",
                help_text="Which provider it is: how it is called, and what it does not know.",
            ),
        ),
        migrations.AddField(
            "provider",
            "settings",
            models.JSONField(
                default=dict,
                blank=True,
                help_text="What the kind asks for besides, like the region of Amazon Bedrock.",
            ),
        ),
        migrations.AlterField(
            "provider",
            "base_url",
            models.CharField(
                "base address",
                max_length=300,
                blank=True,
                validators=[catalog.validators.validate_address],
                help_text="With the version segment, like https://api.example.com/v1. Empty: the "
                "kind's own address.",
            ),
        ),
        migrations.RunPython(name_the_known, migrations.RunPython.noop),
    ]
