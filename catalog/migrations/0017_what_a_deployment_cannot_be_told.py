from django.db import migrations, models

import catalog.validators


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0016_prices_apart_from_tokens"),
    ]

    operations = [
        migrations.AddField(
            model_name="deployment",
            name="based_on",
            field=models.CharField(
                blank=True,
                help_text="Where the provider's name for it does not say, as at Azure: like "
                "gpt-5-mini. What that model cannot be told goes by it.",
                max_length=120,
                validators=[catalog.validators.validate_model_name],
                verbose_name="which model it is",
            ),
        ),
        migrations.AddField(
            model_name="deployment",
            name="quirks",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="By parameter of OpenAI's chat format: drop, refuse, its name here, or "
                'send, whatever else is known of the provider. Like {"stop": "refuse", '
                '"max_completion_tokens": "max_tokens"}.',
                validators=[catalog.validators.validate_quirks],
                verbose_name="what it cannot be told",
            ),
        ),
    ]
