"""HAProxy as a plain proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import peers
from bench.subjects import Running, Subject
from bench.subjects.processes import free_port, serving

_CONF = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  http-reuse always
  option http-no-delay
frontend calls
  bind 127.0.0.1:{port}
  default_backend up
backend up
  server one 127.0.0.1:{upstream}
"""


@contextmanager
def _start(upstream: int, work: Path) -> Iterator[Running]:
    port, conf = free_port(), work / "haproxy.cfg"
    conf.write_text(_CONF.format(port=port, upstream=upstream))
    command = [peers.haproxy() or "haproxy", "-db", "-f", str(conf)]
    with serving(command, port, work / "haproxy.log") as pid:
        yield Running(port, pid, upstream)


HAPROXY = Subject(name="haproxy", checks="none, no log", start=_start, steady=True)


def found() -> list[Subject]:
    return [HAPROXY] if peers.haproxy() else []
