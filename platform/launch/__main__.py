"""``python -m launch up`` runs the platform in the foreground until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
import sys
from signal import SIGTERM

from launch.process import die_with_parent
from launch.up import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m launch", description=__doc__)
    parser.add_argument("command", choices=["up"])
    parser.add_argument(
        "--with-parent", action="store_true", help="stop when the process that started it ends"
    )
    if parser.parse_args().with_parent:
        die_with_parent(SIGTERM, os.getppid())
    sys.exit(main())
