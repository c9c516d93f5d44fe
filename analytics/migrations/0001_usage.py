"""Records in a partitioned table, and roll-ups that add up; both under row-level security."""

import django.contrib.postgres.fields
import uuid
from django.db import migrations, models

from analytics.row_security import CREATE_ROLE, guard

# The primary key finds a request by its id; the other indexes serve the call log, newest
# first, and each begins with the tenant.
RECORDS = """
CREATE TABLE public.analytics_usagerecord (
    at timestamptz NOT NULL,
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    status smallint NOT NULL,
    error_code text NOT NULL DEFAULT '',
    api_id uuid,
    route_id uuid,
    application_id uuid,
    key_id uuid,
    plan_id uuid,
    request_bytes bigint NOT NULL DEFAULT 0,
    response_bytes bigint NOT NULL DEFAULT 0,
    total_us bigint NOT NULL DEFAULT 0,
    upstream_us bigint NOT NULL DEFAULT 0,
    first_byte_us bigint NOT NULL DEFAULT 0,
    streamed boolean NOT NULL DEFAULT false,
    abandoned boolean NOT NULL DEFAULT false,
    model_id uuid,
    model text NOT NULL DEFAULT '',
    provider_id uuid,
    deployment_id uuid,
    prompt_id uuid,
    prompt_version integer NOT NULL DEFAULT 0,
    input_tokens bigint,
    output_tokens bigint,
    cached_tokens bigint,
    reasoning_tokens bigint,
    cost_micros bigint,
    currency text NOT NULL DEFAULT '',
    demo boolean NOT NULL DEFAULT false,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX analytics_usagerecord_newest
    ON public.analytics_usagerecord (tenant_id, at, id);
CREATE INDEX analytics_usagerecord_api
    ON public.analytics_usagerecord (tenant_id, api_id, at, id);
CREATE INDEX analytics_usagerecord_application
    ON public.analytics_usagerecord (tenant_id, application_id, at, id);
CREATE INDEX analytics_usagerecord_errors
    ON public.analytics_usagerecord (tenant_id, at, id) WHERE status >= 400;
CREATE INDEX analytics_usagerecord_model
    ON public.analytics_usagerecord (tenant_id, model_id, at, id) WHERE model_id IS NOT NULL;
"""

# Updates change no indexed column, so with room in the page they touch no index. Old rows
# are found for deletion by BRIN, which costs next to nothing: rows come in order of time.
ROLLUPS = """
ALTER TABLE public.analytics_rollup{interval} SET
    (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX analytics_rollup{interval}_start
    ON public.analytics_rollup{interval} USING brin (start) WITH (autosummarize = on);
"""

ADD_ARRAYS = """
CREATE FUNCTION public.hubpo_add(a integer[], b integer[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(array_agg(coalesce(x, 0) + coalesce(y, 0) ORDER BY n), '{}')
    FROM unnest(a, b) WITH ORDINALITY AS pairs (x, y, n)
);
"""

TABLES = ["usagerecord", "rollupminute", "rolluphour", "rollupday"]
DROP = "DROP FUNCTION public.hubpo_add(integer[], integer[]);"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='PoisonEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('entry_id', models.TextField(help_text="The entry's place in the stream.", unique=True)),
                ('reason', models.TextField()),
                ('body', models.BinaryField(help_text='The entry as it came.')),
                ('seen_at', models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
            options={
                'verbose_name': 'refused usage entry',
                'verbose_name_plural': 'refused usage entries',
                'ordering': ['-seen_at', '-id'],
            },
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='UsageRecord',
                    fields=[
                        ('pk', models.CompositePrimaryKey('at', 'id', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('at', models.DateTimeField()),
                        ('id', models.UUIDField()),
                        ('tenant_id', models.UUIDField()),
                        ('method', models.TextField()),
                        ('path', models.TextField()),
                        ('status', models.SmallIntegerField()),
                        ('error_code', models.TextField(blank=True, default='')),
                        ('api_id', models.UUIDField(null=True)),
                        ('route_id', models.UUIDField(null=True)),
                        ('application_id', models.UUIDField(null=True)),
                        ('key_id', models.UUIDField(null=True)),
                        ('plan_id', models.UUIDField(null=True)),
                        ('request_bytes', models.BigIntegerField(default=0)),
                        ('response_bytes', models.BigIntegerField(default=0)),
                        ('total_us', models.BigIntegerField(default=0)),
                        ('upstream_us', models.BigIntegerField(default=0)),
                        ('first_byte_us', models.BigIntegerField(default=0)),
                        ('streamed', models.BooleanField(default=False)),
                        ('abandoned', models.BooleanField(default=False)),
                        ('model_id', models.UUIDField(null=True)),
                        ('model', models.TextField(blank=True, default='')),
                        ('provider_id', models.UUIDField(null=True)),
                        ('deployment_id', models.UUIDField(null=True)),
                        ('prompt_id', models.UUIDField(null=True)),
                        ('prompt_version', models.IntegerField(default=0)),
                        ('input_tokens', models.BigIntegerField(null=True)),
                        ('output_tokens', models.BigIntegerField(null=True)),
                        ('cached_tokens', models.BigIntegerField(null=True)),
                        ('reasoning_tokens', models.BigIntegerField(null=True)),
                        ('cost_micros', models.BigIntegerField(null=True)),
                        ('currency', models.TextField(blank=True, default='')),
                        ('demo', models.BooleanField(default=False)),
                    ],
                    options={
                        'db_table': 'analytics_usagerecord',
                        'ordering': ['-at', '-id'],
                    },
                ),
            ],
            database_operations=[
                migrations.RunSQL(RECORDS, "DROP TABLE public.analytics_usagerecord")
            ],
        ),
        migrations.CreateModel(
            name='RollupDay',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField()),
                ('start', models.DateTimeField()),
                ('api_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('application_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('plan_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('model_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('provider_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('prompt_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('status_class', models.SmallIntegerField(help_text='2, 3, 4 or 5: the status divided by 100.')),
                ('currency', models.TextField(default='')),
                ('demo', models.BooleanField(default=False)),
                ('calls', models.BigIntegerField(default=0)),
                ('abandoned', models.BigIntegerField(default=0)),
                ('limited', models.BigIntegerField(default=0, help_text='Answered with 429.')),
                ('request_bytes', models.BigIntegerField(default=0)),
                ('response_bytes', models.BigIntegerField(default=0)),
                ('total_us', models.BigIntegerField(default=0)),
                ('upstream_us', models.BigIntegerField(default=0)),
                ('first_byte_us', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('cost_micros', models.BigIntegerField(default=0)),
                ('unpriced', models.BigIntegerField(default=0, help_text='Calls that used tokens and whose cost is unknown.')),
                ('latency', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), default=list, size=None)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('tenant_id', 'start', 'api_id', 'application_id', 'plan_id', 'model_id', 'provider_id', 'prompt_id', 'status_class', 'currency', 'demo'), name='one_rollup_per_day')],
            },
        ),
        migrations.CreateModel(
            name='RollupHour',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField()),
                ('start', models.DateTimeField()),
                ('api_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('application_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('plan_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('model_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('provider_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('prompt_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('status_class', models.SmallIntegerField(help_text='2, 3, 4 or 5: the status divided by 100.')),
                ('currency', models.TextField(default='')),
                ('demo', models.BooleanField(default=False)),
                ('calls', models.BigIntegerField(default=0)),
                ('abandoned', models.BigIntegerField(default=0)),
                ('limited', models.BigIntegerField(default=0, help_text='Answered with 429.')),
                ('request_bytes', models.BigIntegerField(default=0)),
                ('response_bytes', models.BigIntegerField(default=0)),
                ('total_us', models.BigIntegerField(default=0)),
                ('upstream_us', models.BigIntegerField(default=0)),
                ('first_byte_us', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('cost_micros', models.BigIntegerField(default=0)),
                ('unpriced', models.BigIntegerField(default=0, help_text='Calls that used tokens and whose cost is unknown.')),
                ('latency', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), default=list, size=None)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('tenant_id', 'start', 'api_id', 'application_id', 'plan_id', 'model_id', 'provider_id', 'prompt_id', 'status_class', 'currency', 'demo'), name='one_rollup_per_hour')],
            },
        ),
        migrations.CreateModel(
            name='RollupMinute',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField()),
                ('start', models.DateTimeField()),
                ('api_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('application_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('plan_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('model_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('provider_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('prompt_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('status_class', models.SmallIntegerField(help_text='2, 3, 4 or 5: the status divided by 100.')),
                ('currency', models.TextField(default='')),
                ('demo', models.BooleanField(default=False)),
                ('calls', models.BigIntegerField(default=0)),
                ('abandoned', models.BigIntegerField(default=0)),
                ('limited', models.BigIntegerField(default=0, help_text='Answered with 429.')),
                ('request_bytes', models.BigIntegerField(default=0)),
                ('response_bytes', models.BigIntegerField(default=0)),
                ('total_us', models.BigIntegerField(default=0)),
                ('upstream_us', models.BigIntegerField(default=0)),
                ('first_byte_us', models.BigIntegerField(default=0)),
                ('input_tokens', models.BigIntegerField(default=0)),
                ('output_tokens', models.BigIntegerField(default=0)),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('cost_micros', models.BigIntegerField(default=0)),
                ('unpriced', models.BigIntegerField(default=0, help_text='Calls that used tokens and whose cost is unknown.')),
                ('latency', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), default=list, size=None)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('tenant_id', 'start', 'api_id', 'application_id', 'plan_id', 'model_id', 'provider_id', 'prompt_id', 'status_class', 'currency', 'demo'), name='one_rollup_per_minute')],
            },
        ),
        *(
            migrations.RunSQL(ROLLUPS.replace("{interval}", interval), migrations.RunSQL.noop)
            for interval in ["minute", "hour", "day"]
        ),
        migrations.RunSQL(ADD_ARRAYS, DROP),
        migrations.RunSQL(CREATE_ROLE, migrations.RunSQL.noop),
        *(
            migrations.RunSQL(guard(f"analytics_{table}"), migrations.RunSQL.noop)
            for table in TABLES
        ),
    ]
