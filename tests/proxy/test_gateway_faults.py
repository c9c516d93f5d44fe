"""A fault of the gateway's own ends one call, with an id that leads to the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from proxy_servers import tenant

from proxy.asgi import AsgiCall
from proxy.gateway import Gateway
from proxy.limits import Limiter
from proxy.runtime import TenantRuntime
from proxy.snapshot import Holder
from proxy.upstream.pool import Pool
from proxy.usage.journal import Journal


def scope(headers: list[Any]) -> dict[str, Any]:
    return {
        "method": "GET",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
    }


async def test_a_fault_is_answered_with_500_logged_with_the_id_and_recorded(
    tmp_path: Path, caplog: Any
) -> None:
    holder, journal = Holder(), Journal(tmp_path, 1 << 20)
    holder.put(TenantRuntime(tenant("alice", 1, "hub_key"), None))
    limiter, pool = Limiter("unix:///nowhere"), Pool()
    gateway = Gateway(holder=holder, limiter=limiter, pool=pool, journal=journal)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    headers = [(b"host", b"alice.localhost"), (b"x-api-key", 5)]  # what no server sends
    await gateway.handle(AsgiCall(scope(headers), receive, send, gateway.next_id()))
    problem = json.loads(sent[1]["body"])
    assert (sent[0]["status"], problem["code"]) == (500, "internal_error")
    assert problem["request_id"] in caplog.text
    assert journal.waiting_bytes > 0
    gateway.close()
    pool.close()


async def nothing(message: Any = None) -> Any:
    """Neither sent nor received."""


async def test_a_call_that_cannot_be_recorded_is_not_over_so_its_connection_is_dropped(
    tmp_path: Path,
) -> None:
    call = AsgiCall(scope([]), nothing, nothing, "id")
    call.journal = Journal(tmp_path, 1 << 20)
    call.tenant = TenantRuntime(tenant("alice", 1, "hub_key"), None)
    call.model, call.input_tokens = "m", 1 << 70  # what no record holds
    for answer in (lambda: call.respond(200, [], b""), call.finish):
        call.recorded = False
        with pytest.raises(OverflowError):
            answer()
        assert not call.finished
    call.journal.close()
