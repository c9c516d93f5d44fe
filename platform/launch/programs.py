"""The platform's own processes: what runs, with which environment, and when it is ready."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

from config import env
from launch.process import Program

_APPS = 2
"""The stage of everything that needs the servers."""


def _environment(var: Path) -> dict[str, str]:
    return os.environ | {
        "HUBPO_VAR": str(var),
        "PYTHONPATH": os.pathsep.join((str(env.ROOT / "platform"), str(env.ROOT))),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def _python(name: str, var: Path, *argv: str, listener: socket.socket | None = None) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, *argv),
        env=_environment(var),
        cwd=env.ROOT,
        listener=listener,
        stage=_APPS,
    )


def command(var: Path, *argv: str) -> Program:
    """A Django command that ends by itself."""
    return _python(f"manage.py {argv[0]}", var, "manage.py", *argv)


def console(var: Path, listener: socket.socket) -> Program:
    return _server("console", var, "config.asgi:application", listener, "/healthz", lifespan="off")


def gateway(var: Path, listener: socket.socket, number: int) -> Program:
    name = f"gateway-{number}"
    program = _server(name, var, "config.gateway:application", listener, "/readyz")
    farewell = env.gateway_stop_seconds() + 3.0
    return replace(program, stop_signal=signal.SIGINT, farewell=farewell)


def sandbox(var: Path, listener: socket.socket) -> Program:
    return _server("sandbox", var, "sandbox.app:application", listener, "/healthz")


def worker(var: Path) -> Program:
    return replace(_python("worker", var, "-m", "launch.worker"), announces=True)


def _server(
    name: str,
    var: Path,
    application: str,
    listener: socket.socket,
    healthy: str,
    *,
    lifespan: str = "on",
) -> Program:
    argv = ("-m", "launch.serve", application, str(listener.fileno()), lifespan)
    program = _python(name, var, *argv, listener=listener)
    port = listener.getsockname()[1]
    return replace(program, announces=True, probe=lambda: _answers(port, healthy))


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
