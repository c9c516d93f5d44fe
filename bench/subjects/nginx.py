"""nginx as a plain proxy, and with Lua for the checks that a gateway makes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import peers
from bench.cases import API_KEY
from bench.subjects import Running, Subject
from bench.subjects.processes import LOAD_CORE, free_port, serving

_CONF = """
{modules}
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
{user}
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 8192; }}
http {{
  access_log {access};
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  keepalive_requests 100000000;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  {lua}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      {check}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://up;
    }}
    location /v1/ {{
      {check}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_pass http://up;
    }}
  }}
}}
"""

_UPSTREAM_CONF = """
worker_processes 1;
daemon off;
{user}
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  keepalive_requests 100000000;
  keepalive_timeout 1h;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
}}
"""

_LUA_SETUP = """
  lua_shared_dict keys 1m;
  lua_shared_dict limits 1m;
  init_by_lua_block {{ ngx.shared.keys:set("{key}", "bench") }}
"""

_LUA_CHECK = """
      access_by_lua_block {
        local key = ngx.req.get_headers()["x-api-key"]
        local app = key and ngx.shared.keys:get(key)
        if not app then return ngx.exit(401) end
        local minute = app .. ":" .. math.floor(ngx.now() / 60)
        local used = ngx.shared.limits:incr(minute, 1, 0, 120)
        if used > 1000000000 then return ngx.exit(429) end
      }
"""


@contextmanager
def _start(upstream: int, work: Path, *, lua: bool) -> Iterator[Running]:
    port = free_port()
    loads = "".join(one.read_text() for one in peers.lua_modules()) if lua else ""
    place = work / ("nginx-lua" if lua else "nginx")
    place.mkdir()
    conf = place / "nginx.conf"
    conf.write_text(
        _CONF.format(
            work=place,
            user=_user(),
            port=port,
            upstream=upstream,
            access=f"{place}/access.log" if lua else "off",
            modules=loads.replace(" modules/", " /usr/lib/nginx/modules/"),
            lua=_LUA_SETUP.format(key=API_KEY) if lua else "",
            check=_LUA_CHECK if lua else "",
        )
    )
    binary = peers.nginx() or "nginx"
    with serving([binary, "-p", str(place), "-c", str(conf)], port, place / "out.log") as pid:
        yield Running(port, pid, upstream)


@contextmanager
def answering(answer: bytes, work: Path) -> Iterator[int]:
    """An upstream where the load is, which gives every call this answer; yields its port."""
    port = free_port()
    place = work / "nginx-upstream"
    place.mkdir()
    conf = place / "nginx.conf"
    text = answer.decode()
    conf.write_text(_UPSTREAM_CONF.format(work=place, user=_user(), port=port, answer=text))
    command = [peers.nginx() or "nginx", "-p", str(place), "-c", str(conf)]
    with serving(command, port, place / "out.log", core=LOAD_CORE):
        yield port


def _user() -> str:
    return "user root;" if os.getuid() == 0 else ""


NGINX = Subject(name="nginx", checks="none, no log", start=partial(_start, lua=False), steady=True)
NGINX_LUA = Subject(
    name="nginx-lua",
    checks="key, limit counted on this machine alone, a line of log",
    start=partial(_start, lua=True),
    checks_keys=True,
    steady=True,
)


def found() -> list[Subject]:
    if not peers.nginx():
        return []
    return [NGINX, NGINX_LUA] if peers.lua_modules() else [NGINX]
