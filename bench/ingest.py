"""How many records a second one core ingests, roll-ups included.

``python -m bench.ingest --records 200000`` starts servers of its own, with the settings of
``make up``, fills the stream and empties it into the tables. Counted is the CPU time of the
ingester and of every process of PostgreSQL; that of Valkey is shown beside it. The tables are
compared with what was sent before a figure is quoted.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import secrets
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=20_000, help="entries in one transaction")
    parser.add_argument("--tenants", type=int, default=10)
    parser.add_argument("--apis", type=int, default=10, help="of each tenant")
    parser.add_argument("--applications", type=int, default=5, help="of each tenant")
    parser.add_argument("--ai", type=float, default=0.2, help="share of calls to AI models")
    parser.add_argument("--rate", type=int, default=20_000, help="calls a second they came at")
    parser.add_argument(
        "--profile", action="store_true", help="show where the ingester's time goes"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubpo-bench-") as directory:
        os.environ["HUBPO_VAR"] = directory
        os.environ["HUBPO_SECRET_KEY"] = secrets.token_urlsafe(48)
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        from config import env
        from launch import embedded, postgres

        with embedded.for_tests(env.var_dir(), env.run_dir(), durable=True):
            postgres.create_database(env.run_dir())
            _run(options)
    return 0


def _run(options: argparse.Namespace) -> None:
    import django

    django.setup()
    import redis
    from django.core.management import call_command
    from django.db import connection

    from analytics.ingest import Stream, consume
    from analytics.models import RollupDay, UsageRecord
    from config import env
    from contract.keys import USAGE_STREAM

    call_command("migrate_schemas", shared=True, verbosity=0)
    client = redis.Redis.from_url(env.redis_url())
    calls = _events(options)
    for start in range(0, len(calls), 2_000):
        with client.pipeline(transaction=False) as pipeline:
            for body in calls[start : start + 2_000]:
                pipeline.xadd(USAGE_STREAM, {"e": body})
            pipeline.execute()
    stream = Stream(env.redis_url())
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        postmaster = _parent(cursor.fetchone()[0])
    valkey = client.info("server")["process_id"]
    before = (_own(), _tree(postmaster), _cpu(valkey), time.perf_counter())
    profiler = _profiler() if options.profile else None
    while consume(stream, batch=options.batch):
        pass
    if profiler:
        profiler()
    after = (_own(), _tree(postmaster), _cpu(valkey), time.perf_counter())
    ingester, database, store, seconds = (b - a for a, b in zip(before, after, strict=True))
    assert UsageRecord.objects.count() == len(calls), "Records are missing."
    assert sum(RollupDay.objects.values_list("calls", flat=True)) == len(calls)
    each = 1e6 / len(calls)
    cpu = ingester + database
    print(f"{len(calls)} records in {seconds:.1f} s, batches of {options.batch}")
    print(f"  ingester   {ingester * each:6.1f} us of CPU a record")
    print(f"  PostgreSQL {database * each:6.1f}")
    print(f"  together   {cpu * each:6.1f}: {len(calls) / cpu:,.0f} records a second on one core")
    print(f"  Valkey     {store * each:6.1f}")
    with connection.cursor() as cursor:
        for step in ("minute", "hour", "day"):
            cursor.execute(f"SELECT count(*) FROM analytics_rollup{step}")
            print(f"  {cursor.fetchone()[0]} roll-ups by {step}")


def _events(options: argparse.Namespace) -> list[bytes]:
    """As gateways send them: ids that count up, times in order, a few tenants busier than most."""
    from contract.usage import UsageEvent, encode

    rng = random.Random(7)
    tenants = [
        {
            "id": _uuid(rng),
            "apis": [(_uuid(rng), _uuid(rng)) for _ in range(options.apis)],
            "applications": [
                (_uuid(rng), _uuid(rng), _uuid(rng)) for _ in range(options.applications)
            ],
            "models": [(_uuid(rng), f"model-{n}", _uuid(rng), _uuid(rng)) for n in range(3)],
        }
        for _ in range(options.tenants)
    ]
    weights = [1 / (n + 1) for n in range(options.tenants)]
    process = f"{rng.getrandbits(64):016x}"
    start = time.time_ns() // 1000 - 1_000_000 * options.records // options.rate
    bodies = []
    for number, tenant in enumerate(rng.choices(tenants, weights, k=options.records)):
        api, route = rng.choice(tenant["apis"])
        application, key, plan = rng.choice(tenant["applications"])
        total = 500 + int(rng.lognormvariate(10, 1))
        status = rng.choices([200, 201, 404, 429, 502], [80, 10, 5, 3, 2])[0]
        ai = ()
        if rng.random() < options.ai:
            model, name, provider, deployment = rng.choice(tenant["models"])
            tokens = (rng.randrange(2000), rng.randrange(800), 0, None)
            ai = (model, name, provider, deployment, "", 0, *tokens, rng.randrange(9000), "USD")
        event = UsageEvent(
            f"{process}{number:016x}", start + 1_000_000 * number // options.rate, tenant["id"],
            "GET", f"/orders/{number}/lines", status, "" if status < 400 else "upstream_error",
            api, route, application, key, plan, 321, 1234, total, total - 300, total - 100,
            bool(ai), False, *ai,
        )  # fmt: skip
        bodies.append(encode(event))
    return bodies


def _uuid(rng: random.Random) -> str:
    return str(UUID(int=rng.getrandbits(128)))


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _cpu(pid: int, *, with_ended_children: bool = False) -> float:
    """Seconds of CPU; of ended children only those that were waited for."""
    fields = _stat(pid)[11 : 15 if with_ended_children else 13]
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> float:
    children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return _cpu(pid, with_ended_children=True) + sum(map(_cpu, children))


def _profiler() -> object:
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.enable()

    def show() -> None:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)

    return show


if __name__ == "__main__":
    sys.exit(main())
