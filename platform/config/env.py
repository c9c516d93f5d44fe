"""What the environment says, read in one place by both planes, the launcher and the tests.

Nothing here imports Django. Every setting has a working default on one machine except
secrets, which have none.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from contract.servers import AddressError, is_cluster, servers

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


class EnvError(ValueError):
    """A variable that is missing or cannot be used; the message says what to set."""


def var_dir() -> Path:
    """Where everything that must survive a restart is kept (``HUBPO_VAR``)."""
    return Path(os.environ.get("HUBPO_VAR") or ROOT / "var").resolve()


def run_dir() -> Path:
    """Sockets live here: short, because a socket's path may hold only about 107 bytes."""
    name = sha256(str(var_dir()).encode()).hexdigest()[:10]
    return Path("/tmp") / f"hubpo-{os.getuid()}-{name}"


def database_url() -> str:
    """``DATABASE_URL``, or the embedded server's socket."""
    return os.environ.get("DATABASE_URL") or f"postgresql://postgres@/hubpo?host={run_dir()}/pg"


def redis_url() -> str:
    """``REDIS_URL``, or the embedded server's socket; see ``contract.servers``."""
    return os.environ.get("REDIS_URL") or f"unix://{run_dir()}/valkey.sock"


def broker_url() -> str:
    """Where Celery, live pages and caches are (``BROKER_URL``): a single Valkey.

    Without it the one that gateways use, unless that is a cluster: none of them can live in one.
    """
    url = os.environ.get("BROKER_URL") or redis_url()
    try:
        servers(url)
    except AddressError as error:
        name = "BROKER_URL" if os.environ.get("BROKER_URL") else "REDIS_URL"
        raise EnvError(str(error).replace("REDIS_URL", name)) from None
    if is_cluster(url):
        raise EnvError(
            "BROKER_URL is not set to a single Valkey. REDIS_URL names a cluster, in which "
            "background tasks and live pages cannot be kept: set BROKER_URL to a Valkey beside "
            "it, like redis://host:6379/0."
        )
    return url


def secret_key() -> str:
    """``HUBPO_SECRET_KEY``, or the key that the launcher generated for this installation."""
    if key := os.environ.get("HUBPO_SECRET_KEY"):
        return key
    path = var_dir() / "secret_key"
    if path.exists():
        return path.read_text().strip()
    raise EnvError(
        "HUBPO_SECRET_KEY is not set. Set it to at least 32 random characters "
        "(`make up` generates one for a local installation)."
    )


def number(name: str, default: int) -> int:
    """A whole number; raises EnvError where the variable holds something else."""
    text = os.environ.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        raise EnvError(f"{name} must be a whole number, not {text!r}.") from None


def console_port() -> int:
    return number("HUBPO_CONSOLE_PORT", 8000)


def gateway_port() -> int:
    return number("HUBPO_GATEWAY_PORT", 8080)


def sandbox_port() -> int:
    return number("HUBPO_SANDBOX_PORT", 8090)


def gateway_workers() -> int:
    return number("HUBPO_GATEWAY_WORKERS", 2)


def metrics_port() -> int:
    """Where Prometheus scrapes the gateway (``HUBPO_METRICS_PORT``); 0: there are no metrics."""
    return number("HUBPO_METRICS_PORT", 0)


def metrics_host() -> str:
    """The address that the metrics port listens on (``HUBPO_METRICS_HOST``)."""
    return os.environ.get("HUBPO_METRICS_HOST") or "127.0.0.1"


def otlp_endpoint() -> str:
    """The collector of traces (``HUBPO_OTLP_ENDPOINT``); empty: there are no traces."""
    return os.environ.get("HUBPO_OTLP_ENDPOINT", "")


def otlp_headers() -> tuple[tuple[str, str], ...]:
    """``HUBPO_OTLP_HEADERS``, as in ``name=value,name=value``."""
    text = os.environ.get("HUBPO_OTLP_HEADERS", "")
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(name.strip() and value for name, _, value in pairs):
        raise EnvError("HUBPO_OTLP_HEADERS must be like name=value,name=value.")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def trace_ratio() -> float:
    """Of the calls that bring no trace, how many are traced (``HUBPO_TRACE_RATIO``)."""
    text = os.environ.get("HUBPO_TRACE_RATIO") or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise EnvError(f"HUBPO_TRACE_RATIO must be a number from 0 to 1, not {text!r}.")
    return ratio


def gateway_calls() -> int:
    """How many calls a gateway worker has under way at most (``HUBPO_GATEWAY_CALLS``)."""
    return number("HUBPO_GATEWAY_CALLS", 8192)


def gateway_stop_seconds() -> int:
    """For how long a gateway worker that is told to stop waits for its calls
    (``HUBPO_GATEWAY_STOP_SECONDS``)."""
    return number("HUBPO_GATEWAY_STOP_SECONDS", 20)


def client_head_seconds() -> int:
    """How long a client may take for a request's head (``HUBPO_CLIENT_HEAD_SECONDS``)."""
    return number("HUBPO_CLIENT_HEAD_SECONDS", 15)


def client_stall_seconds() -> int:
    """How long a client may stall before it is dropped (``HUBPO_CLIENT_STALL_SECONDS``)."""
    return number("HUBPO_CLIENT_STALL_SECONDS", 20)


def smtp_url() -> str:
    """``HUBPO_SMTP_URL``; empty where mail is only printed by the process that sends it."""
    return os.environ.get("HUBPO_SMTP_URL", "")


def mail_from(domain: str) -> str:
    """Who alerts are from (``HUBPO_MAIL_FROM``)."""
    return os.environ.get("HUBPO_MAIL_FROM") or f"hubpo@{domain}"


def deletion_days() -> int:
    """How long a deletion can be undone (``HUBPO_DELETION_DAYS``)."""
    return number("HUBPO_DELETION_DAYS", 7)


def usage_retention_days() -> int:
    """How long single calls are kept (``HUBPO_USAGE_RETENTION_DAYS``)."""
    return number("HUBPO_USAGE_RETENTION_DAYS", 90)


def journal_bytes() -> int:
    """What usage may take on a gateway's disk while Valkey is down (``HUBPO_JOURNAL_MB``)."""
    return number("HUBPO_JOURNAL_MB", 4096) * 1024 * 1024


def batch_bytes() -> int:
    """What waiting files of batches may take on one Valkey node (``HUBPO_BATCH_FILES_MB``)."""
    return number("HUBPO_BATCH_FILES_MB", 512) * 1024 * 1024


def journal_segment_bytes() -> int:
    """The size of one usage file (``HUBPO_JOURNAL_SEGMENT_KB``)."""
    return number("HUBPO_JOURNAL_SEGMENT_KB", 1024) * 1024
