"""What metrics and traces add to a call, part by part: the code alone, with no load around it.

Microseconds of CPU, the lowest of many rounds. ``bench.observers`` measures the same in a worker
under load, which takes a quiet machine to tell such differences.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from contract.snapshot import Target
from contract.usage import UsageEvent
from proxy.asgi import AsgiCall
from proxy.gateway import Gateway
from proxy.limits import Limiter
from proxy.metrics.tally import CountedJournal
from proxy.settings import Traces
from proxy.snapshot import Holder
from proxy.traces import spans
from proxy.traces.export import BATCH, Exporter
from proxy.traces.tracer import TracedGateway
from proxy.upstream.pool import Pool
from proxy.usage.journal import Journal

CALLS = 5_000
ROUNDS = 20
_CONTEXT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="hubpo-parts-") as directory:
        asyncio.run(_measure(Path(directory)))
    return 0


async def _measure(work: Path) -> None:
    plain_journal, counted = (kind(work, 1 << 26) for kind in (Journal, CountedJournal))
    _say("metrics: a call", _added(plain_journal.append, counted.append, _events()))
    model = {"model_id": "m", "model": "sage", "input_tokens": 9, "currency": "USD"}
    _say("metrics: a call to a model", _added(plain_journal.append, counted.append, _events(model)))

    exporter = Exporter(Traces("http://collector.invalid"))
    parts = {"holder": Holder(), "limiter": Limiter("unix:///nowhere"), "pool": Pool()}
    parts["journal"] = plain_journal
    plain = Gateway(**parts)
    seldom, always = (
        TracedGateway(exporter=exporter, ratio=ratio, **parts) for ratio in (0.0, 1.0)
    )
    for name, fields in (
        ("traces: a call without a trace, not sampled", []),
        ("traces: a call that its caller does not sample", [(b"traceparent", _CONTEXT + b"00")]),
    ):
        calls = [_call(fields) for _ in range(CALLS)]
        _say(name, _added(_begin(plain), _begin(seldom), calls))
    calls = [_call([]) for _ in range(CALLS)]
    _say("traces: a sampled call, while it runs", _added(_run(plain), _run(always), calls))
    batch = [_with_attempt(exporter._queue.popleft()) for _ in range(BATCH)]
    encode = msgspec.json.Encoder().encode
    each = _lowest(lambda calls: encode(spans.request(calls, {})), [batch] * 10) / BATCH
    _say("traces: a sampled call, its two spans made afterwards", each)
    for closing in (plain, seldom, always, parts["pool"], plain_journal, counted):
        closing.close()
    exporter._queue.clear()
    await exporter.close()


def _say(name: str, us: float) -> None:
    print(f"{us:6.2f} us  {name}")


def _lowest(work: Callable[[Any], object], items: Iterable[Any]) -> float:
    items, lowest = list(items), float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for item in items:
            work(item)
        lowest = min(lowest, time.process_time() - began)
    return lowest / len(items) * 1e6


def _added(
    without: Callable[[Any], object], with_it: Callable[[Any], object], items: list[Any]
) -> float:
    return _lowest(with_it, items) - _lowest(without, items)


def _events(fields: dict[str, Any] | None = None) -> list[UsageEvent]:
    return [
        UsageEvent(
            id=f"{number:032x}", at=1, tenant_id=f"tenant-{number % 20}", method="GET",
            path="/orders/1", status=200, api_id=f"api-{number % 5}", response_bytes=600,
            total_us=900 + number, upstream_us=700, first_byte_us=800, **(fields or {}),
        )
        for number in range(CALLS)
    ]  # fmt: skip


def _call(fields: list[tuple[bytes, bytes]]) -> AsgiCall:
    async def nothing(_: object = None) -> Any:
        return {"type": "http.disconnect"}

    usual = [(b"host", b"nobody.example"), (b"x-api-key", b"k" * 30), (b"accept", b"*/*")]
    scope = {
        "method": "GET", "path": "/orders", "raw_path": b"/orders", "query_string": b"",
        "headers": [*usual, *fields], "scheme": "http",
    }  # fmt: skip
    return AsgiCall(scope, nothing, nothing, "0" * 32)


def _begin(gateway: Gateway) -> Callable[[AsgiCall], None]:
    return lambda call: gateway.handle(call).close()


def _run(gateway: Gateway) -> Callable[[AsgiCall], None]:
    """A call that is refused at once, so that what is left is mostly the trace."""

    def run(call: AsgiCall) -> None:
        try:
            gateway.handle(call).send(None)
        except StopIteration:
            call.status = 0

    return run


def _with_attempt(call: spans.Traced) -> spans.Traced:
    target = Target("t", "http", "127.0.0.1", 80)
    attempt = spans.Attempt("b7ad6b7169203331", target, "GET", "/orders", 10, 800, 200)
    return msgspec.structs.replace(call, attempts=[attempt])


if __name__ == "__main__":
    sys.exit(main())
