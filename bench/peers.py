"""Installs the gateways that ``make bench`` compares with, where this machine lacks them.

nginx, its Lua module and HAProxy come from the system's packages; LiteLLM gets an environment
of its own and Portkey a directory of its own, both below ``var/peers``. Each that cannot be
installed is named and the others go on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from config import env

PACKAGES = {
    "nginx": ["nginx-light"],
    "nginx-lua": ["nginx-light", "libnginx-mod-http-lua"],
    "haproxy": ["haproxy"],
}
LITELLM = "litellm[proxy]>=1.100"
PORTKEY = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    # Later ones hand it headers that it cannot change, and every stream is answered with 500.
    "overrides": {"@hono/node-server": "1.13.8"},
}
PROFILER = "py-spy==0.4.3"


def place() -> Path:
    return env.var_dir() / "peers"


def litellm() -> Path:
    """The program that starts LiteLLM's proxy; it may not be there."""
    return place() / "litellm" / "bin" / "litellm"


def portkey() -> Path:
    """The script that starts Portkey's gateway; it may not be there."""
    return place() / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"


def profiler() -> Path:
    """py-spy, for ``python -m bench.profile``; it may not be there."""
    return place() / "profiler" / "bin" / "py-spy"


def nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def haproxy() -> str | None:
    return shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")


def lua_modules() -> list[Path]:
    """Debian's files that load Lua into nginx, in the order in which they are needed."""
    directory = Path("/usr/share/nginx/modules-available")
    return sorted(directory.glob("*ndk*.conf")) + sorted(directory.glob("*lua.conf"))


def main() -> int:
    missing = sorted(
        {
            package
            for name, here in (
                ("nginx", nginx()),
                ("nginx-lua", lua_modules()),
                ("haproxy", haproxy()),
            )
            if not here
            for package in PACKAGES[name]
        }
    )
    done = [
        not missing or _packages(missing),
        litellm().exists() or _python("litellm", LITELLM),
        profiler().exists() or _python("profiler", PROFILER),
        portkey().exists() or _portkey(),
    ]
    return 0 if all(done) else 1


def _packages(names: list[str]) -> bool:
    if shutil.which("apt-get") is None or os.getuid() != 0:
        print(f"Install these by hand, or run this as root on Debian: {' '.join(names)}.")
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # The index may be partly out of reach: what matters is whether the packages come.
    subprocess.run(["apt-get", "update", "-qq"], env=quiet)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]
    return _done(install, env=quiet)


def _python(name: str, requirement: str) -> bool:
    environment = place() / name
    python = environment / "bin" / "python"
    make = [sys.executable, "-m", "venv", str(environment)]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    pip = [str(python), "-m", "pip", "install", "--quiet", requirement]
    # uv does not read pip's configuration, which may name the only index that is reachable.
    return _done(make) and (_done([*uv, requirement]) or _done(pip))


def _portkey() -> bool:
    if shutil.which("npm") is None:
        print("Portkey needs Node.js and npm; it is left out.")
        return False
    directory = place() / "portkey"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text(json.dumps(PORTKEY))
    install = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    return _done(install, cwd=directory)


def _done(command: list[str], **options: Any) -> bool:
    print(" ".join(command), flush=True)
    return subprocess.run(command, **options).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
