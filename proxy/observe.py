"""Metrics and traces, or neither: which forms of its parts a worker is made of.

What is switched off is not imported, and the parts are the plain ones, so that it costs a
call nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from proxy.gateway import Gateway
from proxy.settings import Settings
from proxy.upstream.pool import Pool
from proxy.usage.journal import Journal

if TYPE_CHECKING:
    from proxy.metrics.serve import Endpoint
    from proxy.metrics.vitals import Lag
    from proxy.sweeper import Sweeper
    from proxy.traces.export import Exporter

logger = logging.getLogger(__name__)


class Observer:
    """``journal``, ``pool`` and ``gateway`` make these parts. ``start`` it when they are made."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for a collector that is no address."""
        self._settings = settings
        self._exporter: Exporter | None = None
        self._endpoint: Endpoint | None = None
        self._lag: Lag | None = None
        self.journal: type[Journal] = Journal
        self.pool: type[Pool] = Pool
        self.gateway: Callable[..., Gateway] = Gateway
        if settings.metrics is not None:
            from proxy.metrics.tally import CountedJournal

            self.journal = CountedJournal
        if settings.traces is not None:
            from proxy.traces import tracer
            from proxy.traces.export import Exporter

            self._exporter = Exporter(settings.traces)
            self.pool = tracer.TracedPool
            self.gateway = partial(
                tracer.TracedGateway, exporter=self._exporter, ratio=settings.traces.ratio
            )
            tracer.name_traces_in_logs()

    async def start(self, gateway: Gateway, sweeper: Sweeper) -> None:
        """A metrics port that cannot be had is complained about, not raised."""
        if self._exporter is not None:
            self._exporter.start()
        if self._settings.metrics is None:
            return
        from proxy.metrics.collect import Worker
        from proxy.metrics.serve import Endpoint
        from proxy.metrics.vitals import Lag

        self._lag = Lag(asyncio.get_running_loop())
        worker = Worker(gateway, sweeper, self._exporter, self._lag)
        self._endpoint = Endpoint(self._settings.metrics, worker.families)
        try:
            await self._endpoint.start()
        except OSError as error:
            logger.error("There are no metrics: %s", error)

    async def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()
        if self._lag is not None:
            self._lag.close()
        if self._exporter is not None:
            await self._exporter.close()
