"""Keeps programs running until told to stop.

A program that ends is started again, at once the first time and then after growing pauses;
what is left of its session is killed before. All of it happens in one event loop in the main
thread, which is also what ties the processes' lives to ours (see ``launch.process``).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable

from launch.output import Lines, Printer
from launch.problems import DidNotStart
from launch.process import Program, signal_group, spawn

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_STEADY = 10.0
"""Seconds after which a program is thought healthy, so that its next pause is short again."""
_TRIES = 3
"""Ends before the first answer that make a start fail; the servers of a launcher that was
killed may need a moment to let go of their data."""


class Child:
    """One program and its present process."""

    def __init__(self, program: Program, on_line: Callable[[str], None], *, once: bool):
        self.program = program
        self.on_line = on_line
        self.once = once
        self.process: subprocess.Popen[bytes] | None = None
        self.replaced = False
        """Another child has taken its place: it is not started again."""
        self.announced = asyncio.Event()
        self.ended = asyncio.Event()
        self.talks = not program.reticent
        self.ends = 0
        self.lines: deque[str] = deque(maxlen=50)
        """What it wrote last."""
        self.task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        pid = self.process.pid if self.process else None
        return f"<Child {self.program.name} pid={pid} ends={self.ends}>"


class Supervisor:
    """Use as ``async with``: leaving the block stops everything, in the order of the stages."""

    def __init__(self, printer: Printer):
        self._printer = printer
        self._children: list[Child] = []
        self._pipes: dict[int, Callable[[], bool]] = {}
        """Reads what a pipe holds; false once it is closed."""
        self._stopping = False

    async def __aenter__(self) -> Supervisor:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def start(self, program: Program) -> Child:
        """Start the program and keep it running. It may not answer yet: see ``ready``."""

        def show(line: str) -> None:
            if child.talks and not any(part in line for part in program.hidden):
                self._printer.line(program.name, line)

        child = Child(program, show, once=False)
        self._begin(child)
        return child

    async def run(self, program: Program, on_line: Callable[[str], None]) -> Child:
        """Run a program that ends by itself. Raises DidNotStart when it fails."""
        child = Child(program, on_line, once=True)
        self._begin(child)
        await child.ended.wait()
        self._drain()
        self._children.remove(child)
        assert child.process
        if child.process.returncode:
            last = "\n".join(child.lines)
            raise DidNotStart(f"{program.name} failed, and this is what it said:\n{last}")
        return child

    async def ready(self, child: Child, within: float = 60.0) -> None:
        """Return once the program serves. Raises DidNotStart if it ends or stays silent."""
        deadline = time.monotonic() + within
        program = child.program
        while True:
            serves = child.announced.is_set() or not program.announces
            if serves and (program.probe is None or await asyncio.to_thread(program.probe)):
                child.talks = True
                return
            if child.ends >= _TRIES:
                last = child.lines[-1] if child.lines else "it said nothing"
                raise DidNotStart(f"{program.name} {_manner(child)} each time: {last}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{program.name} did not answer within {within:.0f} seconds.")
            await asyncio.sleep(0.03)

    async def replace(self, child: Child) -> Child:
        """Start the program once more, and end the old process when the new one serves.

        Raises DidNotStart where it does not; the old one then stays.
        """
        program = child.program
        following = self.start(program)
        try:
            await self.ready(following)
        except DidNotStart:
            await self._remove(following, program.stop_signal, program.patience)
            raise
        await self._remove(child, signal.SIGTERM, program.farewell)
        return following

    async def _remove(self, child: Child, number: signal.Signals, patience: float) -> None:
        child.replaced = True
        await self._end(child, number, patience)
        self._drain()
        self._children.remove(child)

    async def stop(self) -> None:
        """Stop the highest stage first; each program gets its patience, then SIGKILL."""
        self._stopping = True
        for stage in sorted({child.program.stage for child in self._children}, reverse=True):
            group = [child for child in self._children if child.program.stage == stage]
            await asyncio.gather(
                *(
                    self._end(child, child.program.stop_signal, child.program.patience)
                    for child in group
                )
            )
        self._drain()
        for pipe in list(self._pipes):
            self._close(pipe)
        self._children.clear()
        self._stopping = False

    async def _end(self, child: Child, number: signal.Signals, patience: float) -> None:
        if child.process and child.process.poll() is None:
            signal_group(child.process, number)
            try:
                await asyncio.wait_for(child.ended.wait(), patience)
            except TimeoutError:
                signal_group(child.process, signal.SIGKILL)
                await child.ended.wait()
        if child.task:
            child.task.cancel()
            await asyncio.gather(child.task, return_exceptions=True)

    def _begin(self, child: Child) -> None:
        self._children.append(child)
        self._spawn(child)
        if not child.once:
            child.task = asyncio.create_task(self._keep(child))

    async def _keep(self, child: Child) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            await child.ended.wait()
            if self._stopping or child.replaced:
                return
            child.ends += 1
            if time.monotonic() - began > _STEADY:
                pause = _FIRST_PAUSE
            if child.talks:
                name = child.program.name
                self._printer.line("hubpo", f"{name} {_manner(child)}: starting it again")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self._spawn(child)

    def _spawn(self, child: Child) -> None:
        child.ended.clear()
        child.announced.clear()
        output, output_end = os.pipe()
        ready, ready_end = os.pipe()
        try:
            ready_fd = ready_end if child.program.announces else None
            child.process = spawn(child.program, output=output_end, ready_fd=ready_fd)
        finally:
            os.close(output_end)
            os.close(ready_end)
        lines = Lines()
        self._open(output, lambda: self._read(child, output, lines))
        self._open(ready, lambda: self._note_ready(child, ready))

    def _read(self, child: Child, pipe: int, lines: Lines) -> bool:
        data = os.read(pipe, 65536)
        for line in lines.feed(data) if data else lines.end():
            child.lines.append(line)
            child.on_line(line)
        return bool(data)

    def _note_ready(self, child: Child, pipe: int) -> bool:
        if os.read(pipe, 64):
            child.announced.set()
        return False

    def _open(self, pipe: int, read: Callable[[], bool]) -> None:
        os.set_blocking(pipe, False)
        self._pipes[pipe] = read
        asyncio.get_running_loop().add_reader(pipe, self._readable, pipe)

    def _readable(self, pipe: int) -> bool:
        """Whether there may be more to read."""
        try:
            if self._pipes[pipe]():
                return True
            self._close(pipe)
        except BlockingIOError:
            pass
        return False

    def _close(self, pipe: int) -> None:
        asyncio.get_running_loop().remove_reader(pipe)
        del self._pipes[pipe]
        os.close(pipe)

    def _drain(self) -> None:
        """Read what programs that have ended wrote last."""
        for pipe in list(self._pipes):
            for _ in range(16):  # a program that never stops writing must not hold us here
                if not self._readable(pipe):
                    break

    def _reap(self) -> None:
        for child in self._children:
            process = child.process
            if process and not child.ended.is_set() and process.poll() is not None:
                signal_group(process, signal.SIGKILL)  # what it started and left behind
                child.ended.set()


def _manner(child: Child) -> str:
    code = child.process.returncode if child.process else None
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"
