"""Calls at a fixed time, put into the stream, and the tables that they must lead to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from analytics.histogram import bucket
from analytics.models import INTERVALS, UsageRecord
from analytics.models.rollups import DIMENSIONS, HISTOGRAMS, MEASURES, NOTHING
from contract.keys import USAGE_STREAM
from contract.usage import Measured, UsageEvent, encode
from tenants.valkey import connect

TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
LATER = TIME_ZERO + timedelta(days=1)
"""When the calls are ingested."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uid(number: int) -> str:
    return str(UUID(int=number))


ALICE, CHARLIE = uid(0xA), uid(0xC)
ORDERS, AI, GREETING = uid(0x100), uid(0x101), uid(0x102)
ROUTE, SHOP, KEY, GOLD = uid(0x200), uid(0x300), uid(0x400), uid(0x500)
TINY, SANDBOX, DEPLOYMENT, PROMPT = uid(0x600), uid(0x700), uid(0x800), uid(0x900)
WHO = {"application_id": SHOP, "key_id": KEY, "plan_id": GOLD}
MODEL = {
    "model_id": TINY,
    "model": "tiny",
    "provider_id": SANDBOX,
    "deployment_id": DEPLOYMENT,
    "currency": "USD",
}


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def call(number: int, after: timedelta = timedelta(0), **fields: Any) -> UsageEvent:
    """A call of Alice's, ``after`` TIME_ZERO; ``number`` gives it its id."""
    given = {"tenant_id": ALICE, "method": "GET", "path": "/orders", "status": 200, **fields}
    return UsageEvent(id=f"{number:032x}", at=micros(TIME_ZERO + after), **given)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


REST = {"api_id": ORDERS, "route_id": ROUTE, **WHO}
CHAT = {"method": "POST", "path": "/v1/chat/completions", "api_id": AI, **WHO, **MODEL}

KINDS = {
    "rest answered": call(
        1, seconds(0), **REST, request_bytes=10, response_bytes=200, total_us=1500,
        upstream_us=1200, first_byte_us=1400, attempts=2,
        end_user="5f3a9c1e77d20b1100000000",
    ),
    "rest refused": call(
        2, seconds(1), status=401, error_code="key_missing", api_id=ORDERS, total_us=90, attempts=0
    ),
    "rest limited": call(
        3, seconds(2), **REST, status=429, error_code="rate_limited", total_us=80
    ),
    "rest failed": call(
        4, seconds(3), **REST, status=502, error_code="upstream_unreachable", total_us=5_000_000
    ),
    "rest abandoned": call(
        5, seconds(4), **REST, status=499, abandoned=True, total_us=30_000, upstream_us=29_000
    ),
    "no such route": call(6, seconds(5), status=404, error_code="route_not_found", path="/a\t\\\n"),
    "chat answered": call(
        7, seconds(6), **CHAT, total_us=800_000, upstream_us=790_000, first_byte_us=795_000,
        input_tokens=12, output_tokens=34, cached_tokens=5, reasoning_tokens=6, cost_micros=789,
    ),
    "chat streamed": call(
        8, seconds(7), **CHAT, streamed=True, total_us=2_000_000, first_byte_us=150_000,
        input_tokens=100, output_tokens=300, cost_micros=1000,
    ),
    "chat stream abandoned": call(
        9, seconds(8), **CHAT, streamed=True, abandoned=True, total_us=400_000, input_tokens=7,
        output_tokens=3,
    ),
    "chat failed": call(
        10, seconds(9), **CHAT | {"currency": ""}, status=503, error_code="provider_unavailable"
    ),
    "embeddings": call(
        11, seconds(10), **CHAT | {"path": "/v1/embeddings"}, total_us=60_000, input_tokens=400,
        cost_micros=0,
    ),
    "prompt": call(
        12, seconds(11), **CHAT | {"path": "/greet", "api_id": GREETING}, prompt_id=PROMPT,
        prompt_version=3, total_us=700_000, input_tokens=20, output_tokens=9, cost_micros=44,
        routed="priority 1 after OpenAI 503", adapted="dropped logit_bias", cache_write_tokens=4,
        saved_micros=56, measured=Measured("picture", 3, "1024x1536/high"),
    ),
    "pictures of an unknown price": call(
        18, seconds(17), **CHAT | {"path": "/v1/images/generations", "currency": ""},
        measured=Measured("picture"),
    ),
    "chat stream broken off": call(
        14, seconds(13), **CHAT, streamed=True, error_code="upstream_broken", total_us=900_000,
        first_byte_us=120_000, output_tokens=40,
    ),
    "chat stream at once": call(
        15, seconds(14), **CHAT, streamed=True, total_us=129_999, first_byte_us=120_000,
        output_tokens=40, cost_micros=3, cache_write_tokens=9,
    ),
    "chat stream elsewhere": call(
        16, seconds(15), **CHAT | {"deployment_id": uid(0x801)}, streamed=True,
        total_us=1_120_000, first_byte_us=120_000, output_tokens=50, cost_micros=3, saved_micros=-2,
    ),
    "stream of an API": call(
        17, seconds(16), **REST, streamed=True, total_us=900_000, first_byte_us=5_000,
    ),
    "another tenant's": call(13, seconds(12), tenant_id=CHARLIE, total_us=1500),
}  # fmt: skip

# Around the ends of minutes, hours and days, and many alike, so that there is much to add up.
CALLS = [
    *KINDS.values(),
    call(20, datetime(2026, 3, 14, 15, 9, 59, 999999, UTC) - TIME_ZERO, **REST, total_us=1),
    call(21, datetime(2026, 3, 14, 15, 10, 0, 0, UTC) - TIME_ZERO, **REST, total_us=2),
    call(22, datetime(2026, 3, 14, 15, 59, 59, 999999, UTC) - TIME_ZERO, **REST, total_us=3),
    call(23, datetime(2026, 3, 14, 16, 0, 0, 0, UTC) - TIME_ZERO, **REST, total_us=4),
    call(24, datetime(2026, 3, 14, 23, 59, 59, 999999, UTC) - TIME_ZERO, **REST, total_us=5),
    call(25, datetime(2026, 3, 15, 0, 0, 0, 0, UTC) - TIME_ZERO, **REST, total_us=6),
    *(
        call(
            100 + number,
            seconds(number * 37.5),
            tenant_id=(ALICE, CHARLIE)[number % 2],
            status=(200, 201, 404, 500)[number % 4],
            **REST,
            request_bytes=number,
            total_us=number * number * 100,
        )
        for number in range(120)
    ),
]


class Feed:
    """What gateways do: put events into the stream."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = connect(url)

    def clear(self) -> None:
        self.client.delete(USAGE_STREAM, "hubpo:usage:ingest")

    def send(self, calls: Iterable[UsageEvent]) -> None:
        for event in calls:
            self.put(encode(event))

    def put(self, body: bytes, field: str = "e") -> str:
        return self.client.xadd(USAGE_STREAM, {field: body}).decode()

    def left(self) -> tuple[int, int]:
        """Entries in the stream, and of them those that were read but not acknowledged."""
        pending = self.client.xpending(USAGE_STREAM, "analytics")["pending"]
        return self.client.xlen(USAGE_STREAM), pending


# What the tables must hold: written down plainly, with nothing of the ingest's own code.


def record_of(event: UsageEvent) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "id" or name.endswith("_id"):
            value = UUID(value) if value else None
        row[name] = value
    measured = event.measured or Measured("")
    row |= {"measure": measured.unit, "measured": measured.count, "measured_kind": measured.kind}
    return {**row, "at": EPOCH + timedelta(microseconds=event.at), "demo": False}


def expected_records(calls: Iterable[UsageEvent]) -> list[dict[str, Any]]:
    rows = {event.id: record_of(event) for event in calls}.values()
    return sorted(rows, key=lambda row: row["id"])


def actual_records() -> list[dict[str, Any]]:
    names = [field.name for field in UsageRecord._meta.fields if field.name != "pk"]
    return sorted(UsageRecord.objects.values(*names), key=lambda row: row["id"])


ZEROED = {
    "minute": {"second": 0, "microsecond": 0},
    "hour": {"minute": 0, "second": 0, "microsecond": 0},
    "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
}


def expected_rollups(calls: Iterable[UsageEvent], interval: str) -> dict[tuple, dict[str, Any]]:
    rollups: dict[tuple, dict[str, Any]] = defaultdict(
        lambda: {
            **dict.fromkeys(MEASURES, 0),
            "latency": defaultdict(int),
            "first_token": defaultdict(int),
        }
    )
    for row in expected_records(calls):
        dimensions = {
            **{name: row[name] or NOTHING for name in DIMENSIONS if name.endswith("_id")},
            "status_class": row["status"] // 100,
            "currency": row["currency"],
            "demo": False,
        }
        key = (
            row["tenant_id"],
            row["at"].replace(**ZEROED[interval]),
            *[dimensions[name] for name in DIMENSIONS],
        )
        sums = rollups[key]
        sums["calls"] += 1
        sums["abandoned"] += row["abandoned"]
        sums["limited"] += row["status"] == 429
        sums["unpriced"] += row["cost_micros"] is None and (
            row["input_tokens"] is not None
            or row["output_tokens"] is not None
            or row["measure"] != ""
        )
        for name in MEASURES:
            if name in row and name != "abandoned":
                sums[name] += row[name] or 0
        sums["latency"][bucket(row["total_us"])] += 1
        first = row["first_byte_us"]
        if row["streamed"] and row["model_id"] and row["status"] < 400 and first:
            sums["streams"] += 1
            sums["first_token_us"] += first
            sums["first_token"][bucket(first)] += 1
            came_whole = not row["abandoned"] and not row["error_code"]
            if came_whole and row["output_tokens"] and row["total_us"] - first >= 10_000:
                sums["written_tokens"] += row["output_tokens"]
                sums["writing_us"] += row["total_us"] - first
    return {
        key: {**sums, **{name: dict(sums[name]) for name in HISTOGRAMS}}
        for key, sums in rollups.items()
    }


def actual_rollups(interval: str) -> dict[tuple, dict[str, Any]]:
    rows = INTERVALS[interval].objects.values(
        "tenant_id", "start", *DIMENSIONS, *MEASURES, *HISTOGRAMS
    )
    rollups = {}
    for row in rows:
        key = (row["tenant_id"], row["start"], *[row[name] for name in DIMENSIONS])
        assert key not in rollups
        filled = {
            name: {index: count for index, count in enumerate(row[name]) if count}
            for name in HISTOGRAMS
        }
        rollups[key] = {**{name: row[name] for name in MEASURES}, **filled}
    return rollups


def assert_tables_hold(calls: Iterable[UsageEvent]) -> None:
    """Every table, whole."""
    calls = list(calls)
    assert actual_records() == expected_records(calls)
    for interval in INTERVALS:
        assert actual_rollups(interval) == expected_rollups(calls, interval)
