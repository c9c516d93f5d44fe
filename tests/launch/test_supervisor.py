"""Programs under the supervisor: real processes, killed and stopped in every way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from observed import Running, gone, is_running

from launch.output import Lines, Printer
from launch.problems import DidNotStart
from launch.process import Program
from launch.supervisor import Supervisor

SMALL = str(Path(__file__).with_name("small_platform.py"))
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals orphans")


@pytest.fixture
def small(start: Callable[..., Running]) -> Running:
    running = start(SMALL)
    running.wait_for("all are ready")
    return running


def pid_of(small: Running, name: str, *, what: str = "pid", times: int = 1) -> int:
    return int(small.wait_for(rf"^{name} +\| {what} (\d+)$", times=times)[1])


def all_pids(small: Running) -> list[int]:
    names = ("plain", "family", "stubborn")
    return [pid_of(small, name) for name in names] + [pid_of(small, "family", what="child")]


def test_a_killed_program_is_started_again(small: Running):
    os.kill(pid_of(small, "plain"), signal.SIGKILL)

    small.wait_for(r"hubpo +\| plain was killed by SIGKILL: starting it again")
    assert is_running(pid_of(small, "plain", times=2))


def test_a_program_can_be_killed_many_times(small: Running):
    for times in range(1, 4):
        os.kill(pid_of(small, "plain", times=times), signal.SIGKILL)

    assert is_running(pid_of(small, "plain", times=4))


def test_what_a_killed_program_started_is_gone_before_it_starts_again(small: Running):
    orphan = pid_of(small, "family", what="child")
    os.kill(pid_of(small, "family"), signal.SIGKILL)

    pid_of(small, "family", times=2)
    assert gone([orphan], within=0.5)


def test_stages_stop_from_the_last_to_the_first(small: Running):
    pids = all_pids(small)
    began = time.monotonic()
    small.process.terminate()

    assert small.end() == 0
    assert time.monotonic() - began < 5
    assert [line for line in small.lines if "leaves" in line] == [
        "plain      | leaves",
        "family     | leaves",
    ]
    assert "all have ended" in small.text
    assert not any(map(is_running, pids))


@linux
def test_no_program_outlives_a_killed_launcher(small: Running):
    grandchild = pid_of(small, "family", what="child")
    pids = [pid for pid in all_pids(small) if pid != grandchild]
    small.process.kill()

    assert gone(pids, within=5)
    os.kill(grandchild, signal.SIGKILL)  # none of ours starts processes that could stay


async def test_a_program_that_ends_at_once_is_reported_with_its_last_words():
    program = Program("short", (sys.executable, "-S", "-c", "import sys; sys.exit('no cheese')"))
    async with Supervisor(Printer(StringIO())) as supervisor:
        child = supervisor.start(Program(program.name, program.argv, announces=True))
        with pytest.raises(DidNotStart, match="short ended with code 1 each time: no cheese"):
            await supervisor.ready(child)


async def test_a_command_that_fails_is_reported_with_what_it_said():
    program = Program("work", (sys.executable, "-S", "-c", "print('one'); raise SystemExit(3)"))
    async with Supervisor(Printer(StringIO())) as supervisor:
        with pytest.raises(DidNotStart, match=r"work failed.*\n.*one"):
            await supervisor.run(program, lambda line: None)


async def test_a_silent_program_is_given_up():
    program = Program("mute", ("sleep", "60"), announces=True, env=dict(os.environ))
    async with Supervisor(Printer(StringIO())) as supervisor:
        child = supervisor.start(program)
        with pytest.raises(DidNotStart, match="mute did not answer within 0 seconds"):
            await supervisor.ready(child, within=0.1)
    assert child.process
    assert child.process.returncode == -signal.SIGTERM


async def test_the_last_words_without_a_newline_are_shown():
    shown = StringIO()
    async with Supervisor(Printer(shown)) as supervisor:
        code = "import sys; sys.stdout.write('half a line'); sys.stdout.flush()"
        supervisor.start(Program("talker", (sys.executable, "-S", "-c", code)))
        for _ in range(200):
            if "half" in shown.getvalue():
                break
            await asyncio.sleep(0.02)
    assert "talker     | half a line\n" in shown.getvalue()


def test_lines_are_put_together_from_pieces():
    lines = Lines()
    assert lines.feed(b"on") == []
    assert lines.feed(b"e\r\ntwo\nthr") == ["one", "two"]
    assert lines.end() == ["thr"]


def test_an_endless_line_is_cut():
    lines = Lines()
    assert [len(line) for line in lines.feed(b"x" * 100_000)] == [100_000]
    assert lines.end() == []


def test_a_terminal_gets_colours_and_a_file_does_not(monkeypatch: pytest.MonkeyPatch):
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = {}
    for stream in (Terminal(), StringIO()):
        Printer(stream).line("gateway-1", "hello")
        shown[stream.isatty()] = stream.getvalue()
    assert shown[False] == "gateway-1  | hello\n"
    assert shown[True].startswith("\x1b[")


def test_a_terminal_that_went_away_stops_nothing():
    read, write = os.pipe()
    os.close(read)
    printer = Printer(os.fdopen(write, "w", closefd=True))
    printer.say("nobody hears this")
    printer.say("nor this")
