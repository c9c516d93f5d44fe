"""Makes ``.venv`` and installs pinned requirements into it; does nothing where that is done.

Run by ``bootstrap.sh`` with the file's name. Only the standard library is there yet. pip
installs uv, uv installs the rest; each file that is installed leaves its digest in the
environment, so that the next run knows.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = str(VENV / "bin" / "python")
UV = ROOT / "requirements-uv.txt"


def main() -> None:
    wanted = ROOT / sys.argv[1]
    if not _works(PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"):
        _make_environment()
    if _is_installed(wanted):
        return
    print(f"Installing {wanted.name} into {VENV.name} ...", flush=True)
    if not _works(PYTHON, "-m", "uv", "--version"):
        _pip("install", "--require-hashes", "--requirement", str(UV))
    pinned = ("--require-hashes", "--requirement", str(wanted))
    uv = ("-m", "uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", PYTHON)
    if not _runs(PYTHON, *uv, *pinned):
        # uv does not read pip's configuration, which may name the only index that is reachable.
        print("uv could not install them; trying pip.", flush=True)
        _pip("install", *pinned)
    _stamp(wanted).write_text(_digest(wanted))


def _make_environment() -> None:
    """Raises SystemExit, with a sentence, where this Python has nothing to install with."""
    if importlib.util.find_spec("ensurepip"):
        options: list[str] = []
    elif importlib.util.find_spec("venv") and importlib.util.find_spec("pip"):
        options = ["--without-pip"]
    else:
        raise SystemExit(
            f"The Python at {sys.executable} cannot make environments, because its module "
            "ensurepip is missing: install it (on Debian and Ubuntu, `apt install "
            "python3-venv`), or set PYTHON to another Python."
        )
    shutil.rmtree(VENV, ignore_errors=True)
    if not _runs(sys.executable, "-m", "venv", *options, str(VENV)):
        raise SystemExit(f"{VENV} could not be made, for the reason above.")


def _pip(*arguments: str) -> None:
    if _works(PYTHON, "-m", "pip", "--version") or _works(PYTHON, "-m", "ensurepip"):
        pip = [PYTHON, "-m", "pip"]
    else:
        pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    if not _runs(*pip, "--quiet", "--disable-pip-version-check", *arguments):
        raise SystemExit(
            "Hubpo's requirements could not be installed, for the reason above. The first time, "
            "a package index must be reachable."
        )


def _is_installed(wanted: Path) -> bool:
    stamp = _stamp(wanted)
    return stamp.exists() and stamp.read_text() == _digest(wanted)


def _stamp(wanted: Path) -> Path:
    return VENV / f"installed-{wanted.name}"


def _digest(wanted: Path) -> str:
    return sha256(wanted.read_bytes()).hexdigest()


def _works(*argv: str) -> bool:
    """Whether a command succeeds, without showing what it says."""
    try:
        return subprocess.run(argv, capture_output=True, check=False, env=_env()).returncode == 0
    except OSError:
        return False


def _runs(*argv: str) -> bool:
    return subprocess.run(argv, check=False, env=_env()).returncode == 0


def _env() -> dict[str, str]:
    """Without what would make the new environment see another one's packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


if __name__ == "__main__":
    main()
