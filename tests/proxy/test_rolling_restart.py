"""Gateway workers are replaced one by one while clients call: nobody notices."""

from __future__ import annotations

import asyncio
import http.client
import socket
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace
from proxy_servers import Upstream, Valkey, tenant

from contract.snapshot import Timeouts
from launch import programs
from launch.output import Printer
from launch.problems import DidNotStart
from launch.process import Program
from launch.supervisor import Child, Supervisor

WORKERS, CLIENTS = 2, 20


class Load:
    """Clients that keep their connections. Each of them checks every answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = self.connections = 0
        self.over = False

    def fresh(self) -> http.client.HTTPConnection:
        self.connections += 1
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def client(self, method: str) -> None:
        """Stops at the first thing that goes wrong, and raises it."""
        connection = self.fresh()
        headers = {"Host": "rolling.localhost", "X-API-Key": "hub_rolling"}
        while not self.over:
            connection.request(method, "/orders/7", headers=headers)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body
            self.answered += 1
            if response.will_close:
                connection.close()
                connection = self.fresh()
        connection.close()

    async def more(self, answers: int, clients: list[Future[None]]) -> None:
        """Waits for so many further answers, or for a client that has given up."""
        seen = self.answered
        while self.answered < seen + answers and not any(client.done() for client in clients):
            await asyncio.sleep(0.01)


async def test_workers_are_replaced_under_load_and_no_call_fails(
    own_valkey: Valkey, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tenant("rolling", upstream.port, "hub_rolling")
    patient = replace(made.upstreams[0], timeouts=Timeouts())
    own_valkey.publish(replace(made, upstreams=(patient,)))
    monkeypatch.setenv("REDIS_URL", own_valkey.url)
    monkeypatch.setenv("HUBPO_SECRET_KEY", "k" * 40)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    load = Load(listener.getsockname()[1])
    async with Supervisor(Printer(sys.stdout)) as supervisor:
        children: list[Child] = []
        for number in range(1, WORKERS + 1):
            children.append(supervisor.start(programs.gateway(tmp_path, listener, number)))
        for child in children:
            await supervisor.ready(child)
        before = {child.process.pid for child in children if child.process}
        methods = ["GET", "POST"] * (CLIENTS // 2)
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(load.client, method) for method in methods]
            try:
                await load.more(200, clients)
                children = [await supervisor.replace(child) for child in children]
                await load.more(200, clients)
            finally:
                load.over = True
            for client in clients:
                await asyncio.wrap_future(client)
        after = {child.process.pid for child in children if child.process}
    assert not before & after
    assert len(after) == WORKERS
    assert load.connections > CLIENTS, "clients had to connect anew"
    assert len(upstream.calls) == load.answered, "and no call was made twice"


async def test_a_worker_that_would_not_serve_does_not_replace_one_that_does(
    tmp_path: Path,
) -> None:
    flag = tmp_path / "broken"
    code = (
        "import os, pathlib, signal, sys\n"
        f"if pathlib.Path({str(flag)!r}).exists(): sys.exit('No.')\n"
        "os.write(int(os.environ['HUBPO_READY_FD']), b'ready')\n"
        "signal.pause()\n"
    )
    program = Program("one", (sys.executable, "-S", "-c", code), announces=True)
    async with Supervisor(Printer(sys.stdout)) as supervisor:
        child = supervisor.start(program)
        await supervisor.ready(child)
        flag.touch()
        with pytest.raises(DidNotStart, match="No"):
            await supervisor.replace(child)
        assert child.process is not None
        assert child.process.poll() is None
        flag.unlink()
        following = await supervisor.replace(child)
        assert child.process.poll() is not None
        assert following.process is not None
        assert following.process.poll() is None
