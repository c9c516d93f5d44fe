"""The gateway's ASGI callable: ``uvicorn config.gateway:application``.

Channels sorts by protocol here; proxied HTTP goes to the raw callable of ``proxy``. No
Django is set up.
"""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter

from config import env
from proxy import asgi
from proxy.settings import Metrics, Settings, Traces


def _metrics() -> Metrics | None:
    port = env.metrics_port()
    return Metrics(env.metrics_host(), port, env.run_dir()) if port else None


def _traces() -> Traces | None:
    endpoint = env.otlp_endpoint()
    return Traces(endpoint, env.otlp_headers(), env.trace_ratio()) if endpoint else None


_data_plane = asgi.create(
    Settings(
        redis_url=env.redis_url(),
        snapshots=env.var_dir() / "gateway",
        journal=env.var_dir() / "journal",
        segment_bytes=env.journal_segment_bytes(),
        journal_bytes=env.journal_bytes(),
        batch_bytes=env.batch_bytes(),
        secret_key=env.secret_key(),
        head_seconds=env.client_head_seconds(),
        stall_seconds=env.client_stall_seconds(),
        most_calls=env.gateway_calls(),
        metrics=_metrics(),
        traces=_traces(),
    )
)

application = ProtocolTypeRouter({"http": _data_plane, "lifespan": _data_plane})
application.data_plane = _data_plane
"""What ``proxy.server`` calls directly; see there."""
