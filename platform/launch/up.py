"""``make up``: from whatever is in ``var`` to a platform that answers, in the foreground.

1. Claim ``var``, look at the disk, open the ports, make the secret key.
2. Start PostgreSQL and Valkey, unless DATABASE_URL or REDIS_URL names others.
3. Migrate the schemas and bring the demo tenant up to date.
4. Start the sandbox, the console, the gateway's workers and the Celery worker; on a first
   start, give the demo tenant usage meanwhile.
5. Once all answer, write ``var/demo.json``, print it, and stay until told to stop.

SIGHUP replaces the gateway's workers one by one, with no call lost (``make roll``); where it
comes because the terminal is gone, it stops everything.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

from config import env
from launch import checks, demo, embedded, postgres, programs, valkey
from launch.output import Printer
from launch.problems import DidNotStart, Problem, of_disk
from launch.supervisor import Child, Supervisor

_MIGRATING = re.compile(
    r"^\[(?:(?P<at>\d+/\d+) \([^)]*\) )?\w+:(?P<schema>[\w-]+)\] === Starting migration"
)


def main() -> int:
    """The exit code: 0 when told to stop, 1 when it could not start."""
    var = env.var_dir()
    try:
        asyncio.run(_up(var))
    except Problem as problem:
        print(f"\nHubpo cannot start. {problem}", file=sys.stderr)
        return 1
    except env.EnvError as error:
        print(f"\nHubpo cannot start. {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nHubpo cannot start. {of_disk(error, var)}", file=sys.stderr)
        return 1
    return 0


async def _up(var: Path) -> None:
    told, roll = asyncio.Event(), asyncio.Event()
    loop, terminal = asyncio.get_running_loop(), os.isatty(0)

    def hung_up() -> None:
        (told if terminal and not os.isatty(0) else roll).set()

    loop.add_signal_handler(signal.SIGINT, told.set)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        loop.add_signal_handler(signal.SIGHUP, hung_up)
    printer = Printer(sys.stdout)
    async with Supervisor(printer) as supervisor:
        platform = _Start(var, supervisor, printer)
        start = asyncio.create_task(platform.run())
        stop = asyncio.create_task(told.wait())
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
        else:
            start.cancel()
            await asyncio.wait({start})
        rolling = asyncio.create_task(platform.roll_when(roll))
        await stop
        rolling.cancel()
        await asyncio.wait({rolling})
        printer.say("\nStopping.")
    printer.say("Stopped.")


class _Start:
    def __init__(self, var: Path, supervisor: Supervisor, printer: Printer):
        self.var = var
        self.supervisor = supervisor
        self.printer = printer
        self.gateways: list[Child] = []
        self.began = time.monotonic()

    async def run(self) -> None:
        (self.var / "static").mkdir(parents=True, exist_ok=True)
        checks.claim(self.var)
        checks.disk_space(self.var)
        listeners = self._listen()
        checks.observers()
        env.broker_url()
        checks.secret_key(self.var)
        self.say(f"Starting Hubpo in {self.var}")
        await self._servers()
        await self._migrate()
        first = demo.read(self.var) is None
        made = await self._demo()
        await asyncio.gather(self._apps(*listeners), *([self._usage()] if first else []))
        demo.write(self.var, made)
        self.printer.say(demo.summary(made))

    async def roll_when(self, told: asyncio.Event) -> None:
        """Each time: a new process for each gateway worker, the next once the last one serves."""
        while True:
            await told.wait()
            told.clear()
            for place, child in enumerate(self.gateways):
                name = child.program.name
                try:
                    self.gateways[place] = await self.supervisor.replace(child)
                except DidNotStart as problem:
                    self.say(f"{name} stays as it is: {problem}")
                    break
                self.say(f"{name} is replaced")

    def say(self, text: str) -> None:
        self.printer.line("hubpo", f"{time.monotonic() - self.began:4.1f} s  {text}")

    def _listen(self) -> tuple[socket.socket, ...]:
        return (
            checks.listen(env.sandbox_port(), "the sandbox", "HUBPO_SANDBOX_PORT"),
            checks.listen(env.console_port(), "the console", "HUBPO_CONSOLE_PORT"),
            checks.listen(env.gateway_port(), "the gateway", "HUBPO_GATEWAY_PORT"),
        )

    async def _servers(self) -> None:
        run = env.run_dir()
        embedded.make_run_dir(run)
        wanted = [
            (server, "PostgreSQL" if server is postgres else "Valkey")
            for server, url in ((postgres, "DATABASE_URL"), (valkey, "REDIS_URL"))
            if not os.environ.get(url)
        ]
        children = [
            (server, name, self.supervisor.start(server.program(self.var, run)))
            for server, name in wanted
        ]
        for server, name, child in children:
            try:
                await self.supervisor.ready(child)
            except DidNotStart:
                raise server.why(self.var, list(child.lines)) from None
            self.say(f"{name} is ready")
        if not os.environ.get("DATABASE_URL") and postgres.create_database(run):
            self.say("database hubpo created")

    async def _migrate(self) -> None:
        def show(line: str) -> None:
            if found := _MIGRATING.match(line):
                at = f" ({found['at']})" if found["at"] else ""
                self.say(f"migrating schema {found['schema']}{at}")

        await self.supervisor.run(programs.command(self.var, "migrate_schemas"), show)
        self.say("all schemas are up to date")

    async def _demo(self) -> dict[str, object]:
        kept = demo.read(self.var)
        options = [] if kept else ["--reset-credentials"]
        command = programs.command(self.var, "create_demo", *options)
        done = await self.supervisor.run(command, lambda line: None)
        self.say("the demo tenant is ready" if kept else "the demo tenant is made")
        return demo.merge(demo.parse(list(done.lines)), kept)

    async def _usage(self) -> None:
        """Usage to look at, once: where it was removed it stays away. All runs without it too."""
        command = programs.command(self.var, "load_demo_usage", "--if-empty")
        try:
            await self.supervisor.run(command, lambda line: None)
        except DidNotStart as problem:
            self.say(f"there is no demo usage: {problem}")
        else:
            self.say("the demo tenant has 30 days of demo usage")

    async def _apps(self, *listeners: socket.socket) -> None:
        sandbox, console, gateway = listeners
        start, var = self.supervisor.start, self.var
        workers = range(1, env.gateway_workers() + 1)
        self.gateways = [start(programs.gateway(var, gateway, number)) for number in workers]
        children: list[Child] = [
            start(programs.sandbox(var, sandbox)),
            *self.gateways,
            start(programs.console(var, console)),
            start(programs.worker(var)),
        ]
        for child in children:
            await self.supervisor.ready(child)
            self.say(f"{child.program.name} is ready")
