"""Reads one worker's figures, when they are asked for, from where they are kept anyway."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.metrics import vitals
from proxy.metrics.families import Family
from proxy.metrics.tally import OTHER, CountedJournal, Tally
from proxy.metrics.vitals import Lag

if TYPE_CHECKING:
    from proxy.gateway import Gateway
    from proxy.limits import AnyLimiter
    from proxy.snapshot import Holder
    from proxy.sweeper import Sweeper
    from proxy.traces.export import Exporter
    from proxy.upstream.pool import Pool
    from proxy.usage.journal import Journal

PIECE = 500
"""Rows that are read in one go: a few milliseconds."""
MOST_TARGETS = 1_000
"""Targets whose connections are told apart; the others together. So for upstreams' retries."""


class Worker:
    """All that there is to read of this process."""

    def __init__(
        self,
        gateway: Gateway,
        sweeper: Sweeper,
        exporter: Exporter | None,
        lag: Lag,
    ) -> None:
        self.gateway = gateway
        self.sweeper = sweeper
        self.exporter = exporter
        self.lag = lag

    def families(self) -> Iterator[Family]:
        """Those of many samples in several parts. Calls may be answered between any two."""
        gateway = self.gateway
        if isinstance(gateway.journal, CountedJournal):
            yield from _calls(gateway.journal.tally, gateway.holder)
            yield _errors(gateway.journal.tally, gateway, self.sweeper)
            yield from _durations(gateway.journal.tally)
            yield from _models(gateway.journal.tally, gateway.holder)
        yield _in_flight(gateway)
        yield _turned_away(gateway)
        yield Family("hubpo_client_connections", "gauge", "Open connections of clients.").add(
            len(self.sweeper.connections)
        )
        yield from _limiter(gateway.limiter)
        yield from _snapshots(gateway.holder)
        yield _connections(gateway.pool)
        yield _targets(gateway)
        yield _retries(gateway)
        yield from _journal(gateway.journal)
        if self.exporter is not None:
            yield from _traces(self.exporter)
        yield Family(
            "hubpo_event_loop_lag_seconds", "histogram", "How late the event loop is."
        ).add_durations(self.lag.durations)
        yield from _process()


def _calls(tally: Tally, holder: Holder) -> Iterator[Family]:
    rows = list(tally.calls.items())
    for start in range(0, len(rows), PIECE):
        calls = Family("hubpo_calls_total", "counter", "Calls by tenant, API and status class.")
        received = Family("hubpo_request_bytes_total", "counter", "Bytes of request bodies.")
        sent = Family("hubpo_response_bytes_total", "counter", "Bytes of response bodies.")
        for (tenant_id, api_id, status), counts in rows[start : start + PIECE]:
            labels = {
                "tenant": _tenant(holder, tenant_id),
                "api": _api(holder, tenant_id, api_id),
                "status": f"{status}xx",
            }
            for family, count in zip((calls, received, sent), counts, strict=True):
                family.add(count, **labels)
        yield from (calls, received, sent)


def _errors(tally: Tally, gateway: Gateway, sweeper: Sweeper) -> Family:
    """Those of no tenant, too, which are in no record."""
    family = Family("hubpo_errors_total", "counter", "Calls that ended with an error code.")
    for counts in (tally.codes, gateway.strangers, sweeper.complaints):
        for code, count in counts.items():
            family.add(count, code=code)
    return family


def _tenant(holder: Holder, tenant_id: str) -> str:
    """Its slug, as long as it is known."""
    tenant = holder.tenants.get(tenant_id)
    return tenant.slug if tenant is not None else tenant_id


def _api(holder: Holder, tenant_id: str, api_id: str) -> str:
    """Its name. Empty where a call found no API."""
    tenant = holder.tenants.get(tenant_id)
    api = tenant.apis.get(api_id) if tenant is not None else None
    return api.api.name if api is not None else api_id


def _durations(tally: Tally) -> Iterator[Family]:
    first = Family(
        "hubpo_first_byte_seconds", "histogram", "From the request's head to the answer's."
    )
    upstream = Family(
        "hubpo_upstream_seconds", "histogram", "Of a call, spent waiting for the upstream."
    )
    gateway = Family("hubpo_gateway_seconds", "histogram", "Of a call, all but the upstream's.")
    for (kind, streamed), times in tally.times.items():
        if not any(times.first_byte.counts):
            continue
        labels = {"kind": kind, "streamed": "true" if streamed else "false"}
        first.add_durations(times.first_byte, **labels)
        upstream.add_durations(times.upstream, **labels)
        gateway.add_durations(times.gateway, **labels)
    return iter((first, upstream, gateway))


def _models(tally: Tally, holder: Holder) -> Iterator[Family]:
    calls = Family("hubpo_model_calls_total", "counter", "Calls to a model.")
    retries = Family("hubpo_model_retries_total", "counter", "Sent on after a failure.")
    tokens = Family("hubpo_tokens_total", "counter", "Tokens; cached ones are input as well.")
    cost = Family("hubpo_cost_total", "counter", "Cost, in units of the currency.")
    for (tenant_id, name, currency), model in tally.models.items():
        labels = {"tenant": _tenant(holder, tenant_id), "model": name}
        calls.add(model.calls, **labels)
        retries.add(model.retries, **labels)
        tokens.add(model.input_tokens, **labels, type="input")
        tokens.add(model.output_tokens, **labels, type="output")
        tokens.add(model.cached_tokens, **labels, type="cached")
        if currency:
            cost.add(model.cost_micros / 1e6, **labels, currency=currency)
    return iter((calls, retries, tokens, cost))


def _in_flight(gateway: Gateway) -> Family:
    family = Family("hubpo_calls_in_flight", "gauge", "Calls being answered.")
    for tenant_id, share in gateway.load.shares.items():
        if tenant_id:
            family.add(share.in_flight, tenant=_tenant(gateway.holder, tenant_id))
    return family


def _turned_away(gateway: Gateway) -> Family:
    family = Family("hubpo_calls_turned_away_total", "counter", "Refused: too much to do.")
    return family.add(gateway.load.refused)


def _limiter(limiter: AnyLimiter) -> Iterator[Family]:
    counts = limiter.counts
    for name, value, text in (
        ("checks", counts.checks, "Calls that asked for at least one limit."),
        ("refusals", counts.refusals, "Calls refused by a limit."),
        ("failed_open", counts.failed_open, "Calls passed uncounted: Valkey was away."),
        ("failed_closed", counts.failed_closed, "Calls refused because Valkey was away."),
        ("estimated", counts.estimated, "Calls settled at their estimate."),
        ("settlements_lost", counts.lost, "Settlements given up: Valkey was away too long."),
        ("breaks", counts.breaks, "Times that the breaker opened."),
    ):
        yield Family(f"hubpo_limiter_{name}_total", "counter", text).add(value)
    yield Family(
        "hubpo_limiter_breaker_open", "gauge", "Valkeys that are not asked at the moment."
    ).add(counts.breaker_open)


def _journal(journal: Journal) -> Iterator[Family]:
    yield Family("hubpo_journal_waiting_bytes", "gauge", "Usage that is not yet shipped.").add(
        journal.waiting_bytes
    )
    for name, value, text in (
        ("refused", journal.refused, "Calls refused: there was no room for their record."),
        ("unrecorded", journal.unrecorded, "Refusals for whose record there was no room."),
        ("recovered", journal.recovered, "Calls of dead workers that were recorded here."),
    ):
        yield Family(f"hubpo_journal_{name}_total", "counter", text).add(value)


def _snapshots(holder: Holder) -> Iterator[Family]:
    yield Family("hubpo_snapshots", "gauge", "Tenants that are served.").add(len(holder.tenants))
    yield Family(
        "hubpo_snapshot_changed_timestamp_seconds", "gauge", "When a snapshot was last put to use."
    ).add(holder.changed_at)
    yield Family(
        "hubpo_snapshot_checked_timestamp_seconds", "gauge", "When Valkey was last asked for news."
    ).add(holder.checked_at)


def _connections(pool: Pool) -> Family:
    family = Family("hubpo_upstream_connections", "gauge", "Connections to targets.")
    counts: Counter[tuple[str, str]] = Counter()
    for number, lane in enumerate(pool.lanes):
        named = number < MOST_TARGETS
        target = f"{lane.target.scheme}://{lane.host.decode()}" if named else OTHER
        counts[target, "active"] += len(lane.active)
        counts[target, "idle"] += len(lane.idle)
        counts[target, "connecting"] += lane.connecting
    for (target, state), count in counts.items():
        family.add(count, target=target, state=state)
    return family


def _targets(gateway: Gateway) -> Family:
    """Only of those that something is held against."""
    health, holder = gateway.health, gateway.holder
    family = Family("hubpo_targets", "gauge", "Targets and deployments that are not healthy.")
    for circuit in health.circuits.values():
        state = circuit.state(health.clock())
        if state != "healthy":
            family.add(1, tenant=_tenant(holder, circuit.owner), state=state)
    return family


def _retries(gateway: Gateway) -> Family:
    """Only of upstreams that had any."""
    family = Family("hubpo_upstream_retries_total", "counter", "Calls sent on after a failure.")
    repeated = [(name, budget) for name, budget in gateway.health.budgets.items() if budget.repeats]
    for number, (name, budget) in enumerate(repeated):
        tenant_id, _, upstream_id = name.partition(":")
        if number >= MOST_TARGETS:
            tenant_id = upstream_id = OTHER
        tenant = gateway.holder.tenants.get(tenant_id)
        known = tenant.upstreams.get(upstream_id) if tenant is not None else None
        family.add(
            budget.repeats,
            tenant=_tenant(gateway.holder, tenant_id),
            upstream=known.upstream.name if known is not None else upstream_id,
        )
    return family


def _traces(exporter: Exporter) -> Iterator[Family]:
    yield Family("hubpo_traces_exported_total", "counter", "Calls whose spans were taken.").add(
        exporter.exported
    )
    yield Family("hubpo_traces_dropped_total", "counter", "Calls whose spans were given up.").add(
        exporter.dropped
    )
    yield Family("hubpo_traces_waiting", "gauge", "Calls whose spans are to be exported.").add(
        exporter.waiting
    )


def _process() -> Iterator[Family]:
    """By the names that every Prometheus client uses."""
    yield Family("process_cpu_seconds_total", "counter", "Processor time, user and system.").add(
        time.process_time()
    )
    yield Family("process_resident_memory_bytes", "gauge", "Resident memory.").add(
        vitals.resident_bytes()
    )
    yield Family("process_open_fds", "gauge", "Open file descriptors.").add(vitals.open_files())
    yield Family("process_start_time_seconds", "gauge", "When the process began.").add(
        vitals.STARTED
    )
    yield _collections()


def _collections() -> Family:
    """Of cyclic garbage: how often each generation was looked through."""
    family = Family("python_gc_collections_total", "counter", "Runs of the cycle collector.")
    for generation, counts in enumerate(gc.get_stats()):
        family.add(counts["collections"], generation=str(generation))
    return family
