"""The platform as a whole survives what kills its parts, and ends when told to."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from whole_platform import running_platform

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
pytestmark = [linux, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def doomed():
    """A platform of this module alone, which its tests take apart."""
    with running_platform() as platform:
        yield platform


def children(pid: int) -> dict[int, str]:
    """The running children of a process with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found[int(entry.name)] = line
    return found


def descendants(pid: int) -> dict[int, str]:
    found = children(pid)
    for child in list(found):
        found |= descendants(child)
    return found


def memory(pid: int) -> int:
    """Bytes that the process holds, with its share of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss: +(\d+)", text, re.MULTILINE)[1]) * 1024


def call(command: str) -> str:
    """What the printed curl line answers; fails on anything but success."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    done = subprocess.run(
        [*shlex.split(command), "--silent", "--show-error", "--fail-with-body", "--max-time", "20"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def printed_calls(platform: dict[str, Any]) -> list[str]:
    return re.findall(r"^  (curl .*)$", platform["log"].read_text(), re.MULTILINE)


def test_the_three_printed_calls_work_as_printed(platform_up):
    rest, chat, prompt = map(call, printed_calls(platform_up))
    assert "Berlin" in rest
    assert "chat.completion" in chat
    assert "sentiment" in prompt


def test_credentials_are_private_and_not_the_same_twice(platform_up):
    assert (platform_up["var"] / "demo.json").stat().st_mode & 0o777 == 0o600
    passwords = {platform_up[who]["password"] for who in ("admin", "operator")}
    assert len(passwords) == 2
    assert all(len(password) >= 12 for password in passwords)


def test_at_rest_it_needs_less_than_a_gigabyte(platform_up):
    pids = [platform_up["pid"], *descendants(platform_up["pid"])]
    assert sum(map(memory, pids)) < 10**9


def test_a_second_start_says_that_one_is_running(platform_up):
    done = subprocess.run(
        [sys.executable, "-m", "launch", "up"],
        env=os.environ | {"HUBPO_VAR": str(platform_up["var"]), "PYTHONPATH": "platform:."},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    assert f"already running in {platform_up['var']} (process {platform_up['pid']})" in done.stderr


def test_make_roll_replaces_each_gateway_worker_and_nothing_else(doomed):
    before = children(doomed["pid"])
    done = subprocess.run(
        [sys.executable, "-m", "launch", "roll"],
        env=os.environ | {"HUBPO_VAR": str(doomed["var"]), "PYTHONPATH": "platform:."},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 60
    while doomed["log"].read_text().count(" is replaced") < 2:
        assert time.monotonic() < deadline, doomed["log"].read_text()
        time.sleep(0.1)
    after = children(doomed["pid"])
    gone = [line for pid, line in before.items() if pid not in after]
    assert len(gone) == 2
    assert all("config.gateway" in line for line in gone)
    assert len(after) == len(before)
    assert "Berlin" in call(printed_calls(doomed)[0])


def test_every_killed_child_is_back_and_calls_work(doomed):
    before = children(doomed["pid"])
    assert len(before) == 7
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        after = children(doomed["pid"])
        if len(after) == 7 and not set(before) & set(after):
            break
        time.sleep(0.1)
    assert sorted(after.values()) == sorted(before.values())
    for command in printed_calls(doomed):
        call(f"{command} --retry 20 --retry-all-errors --retry-delay 1")


def test_nothing_is_left_of_it_after_its_launcher_is_killed(doomed):
    pids = descendants(doomed["pid"])
    assert len(pids) > 7
    os.kill(doomed["pid"], signal.SIGKILL)

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (left := running(pids)):
        time.sleep(0.05)
    assert not left


def running(pids: dict[int, str]) -> list[str]:
    left = []
    for pid, line in pids.items():
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            left.append(line)
    return left
