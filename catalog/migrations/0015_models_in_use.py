import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """A model that a budget drops to, or that others are compared with, is not deleted."""

    dependencies = [("catalog", "0014_rules_follow_applications")]

    operations = [
        migrations.AlterField(
            model_name="aimodel",
            name="compare_with",
            field=models.ForeignKey(
                blank=True,
                help_text="What each call saves is reckoned at the price of this model's dearest "
                "deployment; it may be the model itself. None: nothing is reckoned.",
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="+",
                to="catalog.aimodel",
            ),
        ),
        migrations.AlterField(
            model_name="limit",
            name="fallback",
            field=models.ForeignKey(
                blank=True,
                help_text="Without it, or where it cannot do what the call asks for, calls are "
                "refused.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalog.aimodel",
                verbose_name="the other model",
            ),
        ),
    ]
