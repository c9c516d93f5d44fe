"""A change is everywhere in under a second, and calls are answered while the rest is down."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from management import Admin, gateway
from test_platform_lives import children, descendants
from whole_platform import running_platform

WORKERS = 2


def worker_of(answer: httpx.Response) -> str:
    """The part of the request id that is a worker's own."""
    return answer.headers["x-request-id"][:16]


def each_worker_until(platform: dict[str, Any], path: str, status: int) -> dict[str, float]:
    """Calls on new connections; seconds until each worker first answered with the status."""
    began, seen = time.monotonic(), {}
    address = f"http://127.0.0.1:{platform['gateway_port']}{path}"
    headers = {"X-API-Key": platform["api_key"]}
    while len(seen) < WORKERS and time.monotonic() - began < 20:
        answer = httpx.get(address, headers=headers)
        if answer.status_code == status:
            seen.setdefault(worker_of(answer), time.monotonic() - began)
        else:
            assert time.monotonic() - began < 1, f"{answer.status_code} after a second"
    return seen


def test_a_change_is_in_effect_in_every_worker_in_under_a_second(
    platform_up: dict[str, Any],
) -> None:
    admin = Admin(platform_up)
    upstream = admin.named("/upstreams/", "Weather service")["id"]
    api = admin.post(
        "/apis/",
        name="Open weather",
        kind="http",
        listen_path="/open-weather",
        upstream=upstream,
        key_required=False,
    )
    assert gateway(platform_up).get("/open-weather/cities").status_code == 404
    admin.post(f"/apis/{api['id']}/publish/")
    published = each_worker_until(platform_up, "/open-weather/cities", 200)
    admin.post(f"/apis/{api['id']}/retire/")
    retired = each_worker_until(platform_up, "/open-weather/cities", 404)
    print(f"seconds until in effect: {published}, {retired}")
    assert len(published) == len(retired) == WORKERS


@pytest.fixture(scope="module")
def troubled() -> Iterator[dict[str, Any]]:
    """A platform of this module alone."""
    with running_platform() as platform:
        yield platform


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """The processes stand still: worse than dead, since their sockets stay open."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(240)
def test_traffic_flows_with_postgresql_console_and_celery_stopped_also_after_a_restart(
    troubled: dict[str, Any],
) -> None:
    programs = children(troubled["pid"])
    wanted = ("bin/postgres", "config.asgi", "launch.worker")
    down = {pid: line for pid, line in programs.items() if any(word in line for word in wanted)}
    gateways = [pid for pid, line in programs.items() if "config.gateway" in line]
    assert len(down) == 3
    assert len(gateways) == WORKERS
    frozen = [one for pid in down for one in (pid, *descendants(pid))]
    with stopped(frozen):
        with gateway(troubled) as client:
            for _ in range(20):
                assert client.get("/weather/cities").status_code == 200
        for pid in gateways:
            os.kill(pid, signal.SIGKILL)
        answer = eventually_answers(troubled)
        assert answer.status_code == 200
        chat = gateway(troubled).post(
            "/v1/chat/completions",
            json={"model": "sandbox-chat", "messages": [{"role": "user", "content": "Hi"}]},
        )
        assert chat.status_code == 200


@pytest.mark.timeout(240)
def test_a_gateway_starts_from_its_own_copy_when_valkey_is_gone_as_well(
    troubled: dict[str, Any],
) -> None:
    programs = children(troubled["pid"])
    valkey = [pid for pid, line in programs.items() if "valkey-server" in line]
    gateways = [pid for pid, line in programs.items() if "config.gateway" in line]
    with stopped(valkey):
        for pid in gateways:
            os.kill(pid, signal.SIGKILL)
        assert eventually_answers(troubled).status_code == 200


def eventually_answers(platform: dict[str, Any]) -> httpx.Response:
    """The first answer of new gateway workers; fails after 30 s without one."""
    address = f"http://127.0.0.1:{platform['gateway_port']}/weather/cities"
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx.get(address, headers={"X-API-Key": platform["api_key"]}, timeout=10)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "no gateway worker came back"
            time.sleep(0.1)
