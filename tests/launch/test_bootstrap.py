"""The environment: which Python is taken, and what is said where there is none to take."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what runs before anything is installed."""
    copy = tmp_path / "checkout"
    (copy / "platform" / "launch").mkdir(parents=True)
    for name in ("bootstrap.sh", "bootstrap.py"):
        shutil.copy(ROOT / "platform" / "launch" / name, copy / "platform" / "launch" / name)
    (copy / "requirements.txt").write_text("")
    return copy


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only directory on PATH; holds the little that the script needs."""
    path = tmp_path / "bin"
    path.mkdir()
    (path / "dirname").symlink_to(shutil.which("dirname") or "/usr/bin/dirname")
    return path


def python_of(programs: Path, name: str, version: str) -> None:
    """Put a Python there that is too old for us."""
    script = f'#!/bin/sh\ncase "$2" in *exit*) exit 1;; *) echo {version};; esac\n'
    (programs / name).write_text(script)
    (programs / name).chmod(0o755)


def bootstrap(checkout: Path, programs: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["/bin/sh", str(checkout / "platform" / "launch" / "bootstrap.sh"), "requirements.txt"],
        env={"PATH": str(programs)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_python_is_one_sentence(checkout, programs):
    done = bootstrap(checkout, programs)
    assert done.returncode == 1
    assert done.stderr == (
        "Hubpo needs Python 3.11 or newer, and none was found here: install it, or set PYTHON "
        "to the path of one.\n"
    )


def test_an_old_python_is_one_sentence(checkout, programs):
    python_of(programs, "python3", "3.9")
    done = bootstrap(checkout, programs)
    assert done.returncode == 1
    assert done.stderr == (
        "Hubpo needs Python 3.11 or newer, and here python3 is 3.9: install a newer one, or set "
        "PYTHON to the path of one.\n"
    )


@pytest.mark.parametrize("variable", [True, False], ids=["PYTHON", "python3.12"])
def test_a_newer_python_beside_an_old_one_is_taken(checkout, programs, variable):
    python_of(programs, "python3", "3.9")
    proof = programs / "taken"
    name = "chosen" if variable else "python3.12"
    (programs / name).write_text(f'#!/bin/sh\n[ "$1" = -c ] || echo "$@" > {proof}\n')
    (programs / name).chmod(0o755)

    done = bootstrap(checkout, programs, **({"PYTHON": "chosen"} if variable else {}))
    assert done.returncode == 0
    assert proof.read_text().startswith("-I")


def test_a_python_that_cannot_make_environments_is_one_sentence(checkout):
    without = (
        "import importlib.util as u, runpy, sys\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name: None if name in ('ensurepip', 'pip') else found(name)\n"
        "sys.argv = ['bootstrap.py', 'requirements.txt']\n"
        f"runpy.run_path({str(checkout / 'platform/launch/bootstrap.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", without], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ensurepip is missing: install it" in done.stderr


def test_what_is_installed_is_not_installed_again(checkout):
    """The environment here holds everything, so a current stamp must end it at once."""
    script = checkout / "platform" / "launch" / "bootstrap.py"
    environment = checkout / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    (environment / "bin" / "python").chmod(0o755)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (environment / "installed-requirements.txt").write_text(empty)

    def run() -> subprocess.CompletedProcess:
        argv = [sys.executable, "-I", str(script), "requirements.txt"]
        env = os.environ | {"PIP_NO_INDEX": "1"}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    assert (run().returncode, run().stdout) == (0, "")
    (checkout / "requirements.txt").write_text("something==1")
    assert "Installing requirements.txt" in run().stdout
