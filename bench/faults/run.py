"""One platform under load, to which one fault after the other is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.faults.load import Load
from bench.faults.platform import Platform, running, wait
from bench.faults.tables import Totals, totals
from bench.valkey_nodes import Nodes

SETTLED = 45.0
"""Seconds after which what is not in the tables is held to be missing."""

Row = dict[str, object]


Fault = Callable[["Run"], str | Callable[[], str] | None]


class Run:
    def __init__(self, platform: Platform, load: Load) -> None:
        self.platform, self.load = platform, load
        self.apis, self.application = publish(platform, load)
        self._before = Totals()
        self.within = 60.0
        """Seconds after a fault in which each part must be normal again."""
        self.clock: Path | None = None
        """Where the clock of the programs is set, if it can be."""
        self.nodes: Nodes
        self.dead = -1
        """Of a cluster, in the place of one Valkey, and which of them was killed last."""

    def totals(self) -> Totals:
        return totals(self.platform, self.load.ledger, self.apis)

    def put_to(self, name: str, fault: Fault, seconds: float) -> Row:
        """Does a fault ``seconds`` after the load has begun, and compares afterwards.

        ``fault`` returns when it is over, with a remark for the table, or with what makes
        one when the load has stopped.
        """
        load = self.load
        load.outcomes.clear()
        load.codes.clear()
        load.start()
        try:
            time.sleep(seconds)
            remark = fault(self)
            over, answered = time.monotonic(), set(load.ledger.rest)
            self._until_normal(over, answered)
            normal = time.monotonic() - over
            time.sleep(seconds)
        finally:
            load.stop()
        after = self._settled()
        if after.difference:
            self._explain(after.odd)
        if callable(remark):
            remark = remark()
        found, self._before = after - self._before, after
        return {
            "fault": name,
            "answered": found.answered,
            "records": found.records,
            "difference": found.difference,
            "rollups": found.rollups,
            "tokens": found.tokens,
            "lost": found.lost,
            "unsent": found.unsent,
            "refused": load.outcomes[503],
            "no_answer": load.outcomes[0],
            "seconds": round(normal, 1),
            "remark": remark or "",
        }

    def _explain(self, numbers: list[int]) -> None:
        """Says on standard error what the tables have of calls that they should not have, or
        what they lack."""
        for number in numbers:
            rows = self.platform.ask(
                "SELECT id::text, at::text, status, error_code, abandoned "
                "FROM public.analytics_usagerecord WHERE path = %s",
                f"/ledger/{number}",
            )
            print(f"call {number}: {rows}", file=sys.stderr)

    def _until_normal(self, over: float, answered: set[int]) -> None:
        """All programs run, new calls are answered, and the tables hold what was before."""
        platform, load = self.platform, self.load
        for condition, what in (
            (lambda: len(platform.children()) == platform.programs, "all programs run"),
            (lambda: load.well_since(over), "calls are answered"),
            (lambda: answered.isdisjoint(self.totals().odd), "the tables hold what was answered"),
        ):
            wait(condition, what, self.within)

    def _settled(self) -> Totals:
        """The totals once the ledger and the tables agree, or never will."""

        def agree() -> bool:
            found = self.totals()
            return not found.difference and not found.rollups

        with suppress(TimeoutError):
            wait(agree, "the ledger and the tables agree", SETTLED)
        return self.totals()


def publish(platform: Platform, load: Load) -> tuple[dict[str, str], str]:
    """What the load calls: a service and a model behind the ledger, under a plan of no limits.

    The ids of their APIs, and of the application that calls.
    """
    address, ask = f"http://127.0.0.1:{load.ledger.port}", platform.manage
    plan = ask("/plans/", name="Ledger", needs_approval=False)["id"]
    application = ask("/applications/", name="Ledger")["id"]
    upstream = ask("/upstreams/", name="Ledger", targets=[{"url": address}])["id"]
    apis = {
        "rest": ask("/apis/", name="Ledger", kind="http", listen_path="/ledger", upstream=upstream)[
            "id"
        ],
        "ai": ask("/apis/", name="Ledger models", kind="ai")["id"],
    }
    provider = ask("/providers/", name="Ledger", base_url=f"{address}/v1", needs_credential=False)[
        "id"
    ]
    deployment = {
        "provider": provider,
        "provider_model": "ledger-chat",
        "input_price": "1",
        "output_price": "2",
    }
    ask(
        "/models/",
        name="ledger-chat",
        abilities=["chat"],
        apis=[apis["ai"]],
        deployments=[deployment],
    )
    for api in apis.values():
        ask(f"/apis/{api}/publish/")
        ask("/subscriptions/", application=application, api=api, plan=plan)
    load.key = ask("/keys/", application=application, name="Ledger")["key"]
    load.url = platform.gateway
    return apis, application


@contextmanager
def under_load(
    environment: dict[str, str] | None = None, prepare: Callable[[Path], None] | None = None
) -> Iterator[Run]:
    """A platform with calls that are answered, and nothing recorded of them yet lost."""
    load = Load()
    try:
        with running(environment, prepare) as platform:
            run = Run(platform, load)
            began = time.monotonic()
            load.start()
            wait(lambda: load.well_since(began), "calls are answered")
            load.stop()
            run._before = run._settled()
            yield run
    finally:
        load.close()
