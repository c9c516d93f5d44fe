"""Three small programs under a supervisor, stopped by SIGTERM: run by the tests beside it.

``stubborn`` ignores SIGTERM, ``family`` starts a process of its own. Each says its pid.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from launch.output import Printer
from launch.process import Program
from launch.supervisor import Supervisor

CHILD = """
import os, signal, subprocess, sys
name = sys.argv[1]
def leave(*_):
    print("leaves", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if name == "stubborn" else leave)
print("pid", os.getpid(), flush=True)
if name == "family":
    print("child", subprocess.Popen(["sleep", "60"]).pid, flush=True)
os.write(int(os.environ["HUBPO_READY_FD"]), b"ready")
while True:
    signal.pause()
"""


def program(name: str, stage: int) -> Program:
    argv = (sys.executable, "-S", "-c", CHILD, name)
    return Program(name, argv, env=dict(os.environ), stage=stage, announces=True, patience=0.5)


async def main() -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    printer = Printer(sys.stdout)
    async with Supervisor(printer) as supervisor:
        for stage, name in enumerate(("stubborn", "family", "plain")):
            await supervisor.ready(supervisor.start(program(name, stage)))
        printer.say("all are ready")
        await told.wait()
    printer.say("all have ended")


asyncio.run(main())
