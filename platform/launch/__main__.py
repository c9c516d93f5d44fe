"""``python -m launch up`` runs the platform in the foreground until Ctrl-C or SIGTERM;
``python -m launch roll`` replaces the gateway workers of the one that runs, one by one."""

from __future__ import annotations

import argparse
import os
import sys
from signal import SIGTERM

from launch.process import die_with_parent
from launch.roll import main as roll
from launch.up import main as up

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m launch", description=__doc__)
    parser.add_argument("command", choices=["up", "roll"])
    parser.add_argument(
        "--with-parent", action="store_true", help="stop when the process that started it ends"
    )
    options = parser.parse_args()
    if options.with_parent:
        die_with_parent(SIGTERM, os.getppid())
    sys.exit(up() if options.command == "up" else roll())
