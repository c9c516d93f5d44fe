"""The embedded servers, as the tests themselves and ``make up`` use them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from io import StringIO
from pathlib import Path

import psycopg
import pytest
import redis
from django.db import connection
from observed import gone

from launch import embedded, postgres, valkey
from launch.output import Printer
from launch.supervisor import Child, Supervisor


@pytest.mark.django_db
def test_the_database_is_postgresql_18_behind_a_socket():
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        assert cursor.fetchone()[0].startswith("18")
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone()[0] == ""


def test_valkey_answers_on_its_socket(valkey_url: str):
    client = redis.Redis.from_url(valkey_url)
    assert client.info("server")["tcp_port"] == 0


async def run_both(supervisor: Supervisor, place: Path) -> list[Child]:
    embedded.make_run_dir(place / "run")
    children = [
        supervisor.start(server.program(place, place / "run")) for server in (postgres, valkey)
    ]
    for child in children:
        await supervisor.ready(child, within=20)
    return children


async def test_what_they_hold_survives_kill_9_and_a_stop(place: Path):
    sockets = place / "run"
    database = f"host={sockets}/pg user=postgres dbname=hubpo"
    store = redis.Redis(unix_socket_path=str(sockets / "valkey.sock"))
    async with Supervisor(Printer(StringIO())) as supervisor:
        children = await run_both(supervisor, place)
        assert postgres.create_database(sockets)
        assert not postgres.create_database(sockets)
        with psycopg.connect(database) as session:
            session.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        store.set("kept", "42")
        store.execute_command("WAITAOF", 1, 0, 2000)
        for child in children:
            assert child.process
            os.kill(child.process.pid, signal.SIGKILL)
            await child.ended.wait()
            while child.ended.is_set():
                await asyncio.sleep(0.02)
            await supervisor.ready(child, within=20)
        with psycopg.connect(database) as session:
            assert session.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert store.get("kept") == b"42"
    async with Supervisor(Printer(StringIO())) as supervisor:
        await run_both(supervisor, place)
        with psycopg.connect(database) as session:
            assert session.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert store.get("kept") == b"42"


def test_those_of_the_tests_leave_nothing_behind(place: Path):
    run = place / "run"
    with embedded.for_tests(place, run):
        pid = int(
            (place / "postgresql").resolve().joinpath("postmaster.pid").read_text().split()[0]
        )
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert gone([pid], within=1)
    assert not run.exists()
    assert {path.name for path in place.iterdir()} == {"servers.log"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root hands PostgreSQL to another user")
def test_a_place_closed_to_nobody_keeps_its_data_elsewhere(place: Path):
    var = place / "closed" / "var"
    var.mkdir(parents=True)
    var.parent.chmod(0o700)
    with embedded.for_tests(var, place / "run"):
        link = var / "postgresql"
        data = link.resolve()
        assert link.is_symlink()
        assert (data / "PG_VERSION").exists()
        assert data.stat().st_mode & 0o777 == 0o700
    assert not data.exists()
    assert not link.is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root hands PostgreSQL to another user")
def test_binaries_that_nobody_can_reach_are_copied_once(place: Path, monkeypatch):
    monkeypatch.setattr(postgres, "_OUTSIDE", place / "outside")
    monkeypatch.setattr(postgres, "_may_enter", lambda directory, identity: False)
    with embedded.for_tests(place, place / "run"):
        (copy,) = (place / "outside").glob("postgresql-*")
        before = copy.stat().st_ino
    with embedded.for_tests(place, place / "run"):
        assert copy.stat().st_ino == before


def test_a_run_directory_of_somebody_else_is_refused(place: Path):
    (place / "elsewhere").mkdir()
    (place / "run").symlink_to(place / "elsewhere")
    with pytest.raises(embedded.Unusable, match="belongs to another user"):
        embedded.make_run_dir(place / "run")
