"""Installs the gateways that ``make bench`` compares with, from the system's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = ["nginx-light", "libnginx-mod-http-lua"]


def main() -> int:
    if shutil.which("apt-get") is None or os.getuid() != 0:
        print(f"Install these by hand, or run this as root on Debian: {' '.join(PACKAGES)}.")
        return 1
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    return subprocess.run(install, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
