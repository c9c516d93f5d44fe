"""``python -m launch up`` where it cannot start: one clear sentence, and exit code 1."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from observed import Running

from launch import checks, postgres
from launch.problems import DiskFull, Unusable

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may do this")


@pytest.fixture
def ports() -> dict[str, str]:
    """Free ports for the variables that name them."""
    names = ("HUBPO_CONSOLE_PORT", "HUBPO_GATEWAY_PORT", "HUBPO_SANDBOX_PORT")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    found = {name: str(one.getsockname()[1]) for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return found


@pytest.fixture
def up(start: Callable[..., Running], ports: dict[str, str], place: Path):
    """Starts it in ``place`` on free ports with no server of its own named."""

    def run(**environment: str) -> Running:
        base = {"HUBPO_VAR": str(place), "DATABASE_URL": "", "REDIS_URL": "", "BROKER_URL": ""}
        return start("-m", "launch", "up", **base | ports | environment)

    return run


@pytest.fixture
def tiny_disk(place: Path) -> Iterator[Path]:
    """A disk of 20 MB."""
    disk = place / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=755", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def refusal(running: Running) -> str:
    """The sentence it ended with."""
    assert running.end(20) == 1
    assert "Traceback" not in running.text
    _, found, sentence = running.text.partition("Hubpo cannot start. ")
    assert found
    assert "\n" not in sentence
    return sentence


def test_a_port_in_use_is_named_with_the_variable_that_moves_it(up, ports):
    port = int(ports["HUBPO_GATEWAY_PORT"])
    with closing(socket.create_server(("127.0.0.1", port))):
        assert refusal(up()) == (
            f"Port {port} is in use by another program, and the gateway needs it: stop that "
            "program, or set HUBPO_GATEWAY_PORT to a free port."
        )


@pytest.mark.parametrize("value", ["eighty", "70000"])
def test_a_port_that_is_none_is_refused(up, value):
    assert "HUBPO_CONSOLE_PORT must be a" in refusal(up(HUBPO_CONSOLE_PORT=value))


def test_metrics_and_traces_that_cannot_be_had_are_told_at_the_start(up, ports):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"Port {port} is in use" in refusal(up(HUBPO_METRICS_PORT=port))
    assert "HUBPO_TRACE_RATIO must be" in refusal(up(HUBPO_TRACE_RATIO="2"))
    assert "HUBPO_OTLP_HEADERS must be" in refusal(up(HUBPO_OTLP_HEADERS="secret"))


def test_a_valkey_that_cannot_be_used_is_told_at_the_start(up):
    assert "BROKER_URL is not set" in refusal(up(REDIS_URL="redis+cluster://127.0.0.1:1"))
    assert "REDIS_URL must begin with" in refusal(up(REDIS_URL="http://127.0.0.1"))
    assert "BROKER_URL names no port" in refusal(up(BROKER_URL="redis://127.0.0.1:x"))


def test_a_second_start_in_the_same_place_says_that_one_is_running(up, place):
    lock = checks.claim(place)
    try:
        sentence = refusal(up())
    finally:
        os.close(lock)
    assert sentence.startswith(f"Hubpo is already running in {place} (process {os.getpid()})")


def test_the_place_is_free_again_once_the_first_is_gone(place):
    os.close(checks.claim(place))
    os.close(checks.claim(place))


def test_a_directory_that_is_no_database_is_left_alone(up, place):
    (place / "postgresql").mkdir()
    (place / "postgresql" / "photo.jpg").write_text("dear")

    assert refusal(up()).startswith(f"{place}/postgresql is not a PostgreSQL data directory")
    assert (place / "postgresql" / "photo.jpg").read_text() == "dear"


def test_data_of_another_version_is_left_alone(up, place):
    (place / "postgresql").mkdir()
    (place / "postgresql" / "PG_VERSION").write_text("16\n")

    assert "holds PostgreSQL 16 data, and PostgreSQL 18 is needed" in refusal(up())


def test_a_corrupt_database_is_reported_with_its_reason(up, place):
    postgres.program(place, place, for_tests=True)
    (place / "postgresql" / "global" / "pg_control").write_bytes(b"\0" * 8192)

    sentence = refusal(up())
    assert sentence.startswith(f"PostgreSQL cannot start on {place}/postgresql (")
    assert sentence.endswith("move it away to begin with an empty database.")


def test_a_corrupt_valkey_is_reported_with_its_reason(up, place):
    files = place / "valkey" / "appendonlydir"
    files.mkdir(parents=True)
    (files / "appendonly.aof.manifest").write_text("nonsense\n")

    assert refusal(up()).startswith(f"Valkey cannot start on {place}/valkey (")


def test_an_almost_full_disk_is_seen_before_anything_starts(up, tiny_disk):
    sentence = refusal(up(HUBPO_VAR=str(tiny_disk)))
    assert sentence.startswith("Only 1")
    assert f"MB are free on the disk that holds {tiny_disk}, and Hubpo needs 200 MB" in sentence


def test_a_disk_that_fills_up_on_the_way_is_named(tiny_disk):
    with pytest.raises(DiskFull, match=r"The disk that holds .* is full: free some space"):
        postgres.program(tiny_disk, tiny_disk)
    assert not (tiny_disk / "postgresql").exists()


def test_enough_space_is_enough(place):
    checks.disk_space(place, needed=1)
    with pytest.raises(DiskFull):
        checks.disk_space(place, needed=2**60)


def test_the_secret_key_is_made_once_and_private(place, monkeypatch):
    monkeypatch.delenv("HUBPO_SECRET_KEY")
    checks.secret_key(place)
    first = (place / "secret_key").read_text()
    checks.secret_key(place)

    assert (place / "secret_key").read_text() == first
    assert len(first.strip()) >= 50
    assert (place / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_named(up, place):
    (place / "file").write_text("")
    assert f"{place}/file" in refusal(up(HUBPO_VAR=str(place / "file")))


@as_root
def test_a_user_without_a_name_is_told(place):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(54321)
            postgres.program(place, place)
        except Unusable as problem:
            os.write(write, str(problem).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as said:
        assert said.read().startswith("PostgreSQL refuses to run as a user without a name: run as")
