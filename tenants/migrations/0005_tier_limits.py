import django.core.validators
from django.db import migrations, models

AT_LEAST_ONE = [django.core.validators.MinValueValidator(1)]


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0004_names'),
    ]

    operations = [
        migrations.AddField(
            model_name='accounttier',
            name='max_calls_per_month',
            field=models.PositiveBigIntegerField(blank=True, null=True, validators=AT_LEAST_ONE, verbose_name='calls per calendar month'),
        ),
        migrations.AddField(
            model_name='accounttier',
            name='max_calls_at_once',
            field=models.PositiveIntegerField(blank=True, null=True, validators=AT_LEAST_ONE, verbose_name='calls at once'),
        ),
        migrations.AddField(
            model_name='accounttier',
            name='max_tokens_per_month',
            field=models.PositiveBigIntegerField(blank=True, help_text="Input and output together. Months begin in the tenant's time zone.", null=True, validators=AT_LEAST_ONE, verbose_name='AI tokens per calendar month'),
        ),
        migrations.AlterField(
            model_name='accounttier',
            name='max_calls_per_minute',
            field=models.PositiveIntegerField(blank=True, null=True, validators=AT_LEAST_ONE, verbose_name='calls per minute'),
        ),
    ]
