"""Plans' limits on calls become limits on any measure, on anything."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import catalog.validators

WINDOWS = {"1": "second", "60": "minute", "3600": "hour", "86400": "day"}

CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE"
"""PostgreSQL alters no table whose changed rows still wait for their checks."""


def name_windows(apps, schema_editor):
    limits = apps.get_model("catalog", "Limit").objects
    for seconds, name in WINDOWS.items():
        limits.filter(window=seconds).update(window=name)
    schema_editor.execute(CHECK_NOW)


def number_windows(apps, schema_editor):
    limits = apps.get_model("catalog", "Limit").objects
    only = {"measure": "calls", "per": "subscription", "window__in": WINDOWS.values()}
    limits.exclude(plan__isnull=False, **only).delete()
    for seconds, name in WINDOWS.items():
        limits.filter(window=name).update(window=seconds)
    schema_editor.execute(CHECK_NOW)


def place(model, **options):
    return models.ForeignKey(
        blank=True,
        null=True,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="limits",
        to=f"catalog.{model}",
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0004_api_hosts"),
    ]

    operations = [
        migrations.AddField(
            model_name="api",
            name="user_from",
            field=models.CharField(
                blank=True,
                default="",
                help_text="What names the end user, for limits on each of them: a header, like header:X-User-Id, or a claim of the token in Authorization, like claim:sub. It is trusted as far as the application that sends it. Empty: end users are not told apart.",
                max_length=100,
                validators=[catalog.validators.validate_user_from],
                verbose_name="end users named by",
            ),
            preserve_default=False,
        ),
        migrations.RemoveConstraint(model_name="planlimit", name="one_limit_per_window"),
        migrations.RenameModel("PlanLimit", "Limit"),
        migrations.RenameField("limit", "calls", "amount"),
        migrations.AlterField(
            model_name="limit",
            name="amount",
            field=models.DecimalField(
                decimal_places=6,
                help_text="A whole number, or for a cost an amount of money like 12.50.",
                max_digits=18,
                validators=[django.core.validators.MaxValueValidator(9000000000)],
                verbose_name="at most",
            ),
        ),
        migrations.AlterField(
            model_name="limit",
            name="window",
            field=models.CharField(
                blank=True,
                choices=[
                    ("second", "second"),
                    ("minute", "minute"),
                    ("hour", "hour"),
                    ("day", "24 hours"),
                    ("calendar_day", "calendar day"),
                    ("calendar_month", "calendar month"),
                ],
                default="",
                help_text="Seconds to 24 hours slide with the clock; calendar days and months begin at midnight in the tenant's time zone. Calls at once have none.",
                max_length=14,
                verbose_name="in any",
            ),
        ),
        migrations.AlterField(model_name="limit", name="plan", field=place("plan")),
        migrations.AddField(model_name="limit", name="application", field=place("application")),
        migrations.AddField(
            model_name="limit", name="key", field=place("apikey", verbose_name="API key")
        ),
        migrations.AddField(model_name="limit", name="api", field=place("api", verbose_name="API")),
        migrations.AddField(
            model_name="limit",
            name="measure",
            field=models.CharField(
                choices=[
                    ("calls", "Calls"),
                    ("concurrency", "Calls at once"),
                    ("tokens", "Tokens"),
                    ("cost", "Cost"),
                ],
                default="calls",
                max_length=12,
                verbose_name="limit on",
            ),
        ),
        migrations.AddField(
            model_name="limit",
            name="currency",
            field=models.CharField(
                blank=True,
                default="",
                help_text="For a cost: the currency of your models' prices, like USD.",
                max_length=3,
                validators=[catalog.validators.validate_currency],
            ),
            preserve_default=False,
        ),
        # What there was held for each subscription under the plan.
        migrations.AddField(
            model_name="limit",
            name="per",
            field=models.CharField(
                choices=[
                    ("all", "all calls together"),
                    ("api", "each API"),
                    ("subscription", "each subscription"),
                    ("application", "each application"),
                    ("key", "each API key"),
                    ("user", "each end user"),
                ],
                default="subscription",
                help_text="Which calls share one counter.",
                max_length=12,
                verbose_name="counted for",
            ),
        ),
        migrations.AlterField(
            model_name="limit",
            name="per",
            field=models.CharField(
                choices=[
                    ("all", "all calls together"),
                    ("api", "each API"),
                    ("subscription", "each subscription"),
                    ("application", "each application"),
                    ("key", "each API key"),
                    ("user", "each end user"),
                ],
                default="all",
                help_text="Which calls share one counter.",
                max_length=12,
                verbose_name="counted for",
            ),
        ),
        migrations.AddField(
            model_name="limit",
            name="mode",
            field=models.CharField(
                choices=[("exact", "Exact"), ("leased", "Leased")],
                default="exact",
                help_text="Exact asks the counter for every call. Leased lets each gateway draw shares ahead, which costs less and may let a little more through.",
                max_length=6,
            ),
        ),
        migrations.AlterModelOptions(
            name="limit",
            options={"ordering": ["measure", "window", "per", "created_at"]},
        ),
        migrations.AddConstraint(
            model_name="limit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("api__isnull", True), ("application__isnull", True), ("key__isnull", True)
                    ),
                    models.Q(("api__isnull", True), ("key__isnull", True), ("plan__isnull", True)),
                    models.Q(
                        ("api__isnull", True), ("application__isnull", True), ("plan__isnull", True)
                    ),
                    models.Q(
                        ("application__isnull", True), ("key__isnull", True), ("plan__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="limit_on_one_place",
                violation_error_message="Set a limit on one thing: a plan, an application, an API key or an API, or on none of them for the whole tenant.",
            ),
        ),
        migrations.AddConstraint(
            model_name="limit",
            constraint=models.UniqueConstraint(
                fields=(
                    "plan",
                    "application",
                    "key",
                    "api",
                    "measure",
                    "window",
                    "per",
                    "currency",
                ),
                name="one_limit_of_a_kind",
                nulls_distinct=False,
                violation_error_message="There is such a limit already: change that one.",
            ),
        ),
        migrations.RunPython(name_windows, number_windows),
    ]
