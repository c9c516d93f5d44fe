"""Servers of these tests: an ASGI callable in a thread, and a provider that answers as told."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import msgspec
import redis
import uvicorn

from contract import keys
from contract.snapshot import TenantSnapshot, encode
from contract.usage import UsageEvent, decode
from proxy import asgi


@contextlib.contextmanager
def serving(application, http: str = "auto") -> Iterator[str]:
    """An ASGI callable on a free port, in a thread of its own, until the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        application,
        log_level="error",
        access_log=False,
        interface="asgi3",
        http=http,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "The server did not start."
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@dataclass
class Asked:
    """A request as the provider got it. ``headers`` by lower-case name."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """``pieces`` are sent apart. ``abort`` breaks the connection in place of the end."""

    pieces: list[bytes] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    pause: float = 0.0
    abort: bool = False


class Script:
    """A provider that answers as told. ``answer`` may be changed at any time."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Reply] = lambda asked: Reply([b"{}"])
        self.left = threading.Event()
        """A client hung up in the middle of an answer."""

    def says(self, *pieces: bytes, **options) -> None:
        self.answer = lambda asked: Reply(list(pieces), **options)

    @property
    def last(self) -> Asked:
        return self.asked[-1]


class _Provider(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    script: Script


class _Conversation(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self._answer():
                pass

    def _answer(self) -> bool:
        line = self.rfile.readline().decode().strip()
        if not line:
            return False
        headers = {}
        while pair := self.rfile.readline().decode().strip():
            name, _, value = pair.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        script = self.server.script
        script.asked.append(Asked(line, headers, body))
        return self._send(script, script.answer(script.last))

    def _send(self, script: Script, reply: Reply) -> bool:
        head = {"content-type": reply.content_type, "transfer-encoding": "chunked"}
        lines = [f"{name}: {value}" for name, value in (head | reply.headers).items()]
        start = f"HTTP/1.1 {reply.status} Scripted\r\n" + "\r\n".join(lines) + "\r\n\r\n"
        self.wfile.write(start.encode())
        for piece in reply.pieces:
            if reply.pause:
                time.sleep(reply.pause)
            try:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            except ConnectionError:
                script.left.set()
                raise
        if not reply.abort:
            self.wfile.write(b"0\r\n\r\n")
        return not reply.abort


@contextlib.contextmanager
def scripted() -> Iterator[tuple[str, Script]]:
    with _Provider(("127.0.0.1", 0), _Conversation) as server:
        server.script = Script()
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", server.script
        server.shutdown()


class Platform:
    """The running gateway: its address, and the usage events that it wrote."""

    def __init__(self, url: str, application: asgi.Application, valkey: redis.Redis) -> None:
        self.url = url
        self.application = application
        self.valkey = valkey
        self._versions = count(2)

    def publish(self, snapshot: TenantSnapshot) -> None:
        """Stores, announces, and waits until it is in effect."""
        snapshot = msgspec.structs.replace(snapshot, version=next(self._versions))
        mark = f"{snapshot.version}:x"
        self.valkey.set(keys.snapshot_blob(snapshot.tenant_id), encode(snapshot))
        self.valkey.hset(keys.SNAPSHOT_INDEX, snapshot.tenant_id, mark)
        self.valkey.publish(keys.SNAPSHOT_CHANNEL, snapshot.tenant_id)
        self.wait(lambda: self._version(snapshot.tenant_id) == snapshot.version)

    def _version(self, tenant_id: str) -> int:
        gateway = self.application.gateway
        tenant = gateway.holder.tenants.get(tenant_id) if gateway else None
        return tenant.snapshot.version if tenant else 0

    def wait(self, condition: Callable[[], object], seconds: float = 5.0):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "It did not happen in time."
            time.sleep(0.01)
        return found

    def events(self, request_ids: set[str]) -> dict[str, UsageEvent]:
        """The usage events of calls by request id, once all have been shipped."""

        def find() -> dict[str, UsageEvent] | None:
            found = {}
            for _, fields in self.valkey.xrevrange(keys.USAGE_STREAM, count=2000):
                event = decode(fields[b"e"])
                if event.id in request_ids:
                    found[event.id] = event
                    if len(found) == len(request_ids):
                        return found
            return None

        return self.wait(find)

    def event_at(self, path: str) -> UsageEvent:
        """The event of the one call with this path, for a client that never saw the answer."""

        def find() -> UsageEvent | None:
            shipped = self.valkey.xrange(keys.USAGE_STREAM)
            events = [decode(fields[b"e"]) for _, fields in shipped]
            return next((event for event in events if event.path == path), None)

        return self.wait(find)

    def event(self, request_id: str) -> UsageEvent:
        return self.events({request_id})[request_id]


def sse(*events: str | bytes) -> bytes:
    """Events as a provider streams them."""
    texts = (event if isinstance(event, bytes) else event.encode() for event in events)
    return b"".join(b"data: " + text + b"\n\n" for text in texts)
