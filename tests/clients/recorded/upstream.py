"""An upstream that answers with the recording whose name stands in the request."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from recordings import Exchange

NAME = re.compile(rb"rec-\w+")
PIECE = 700
"""Bytes of a stream that are sent at once: events are cut anywhere."""
_KEPT = (b"content-type", b"retry-after")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recordings: dict[str, Exchange]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        named = NAME.search(self.path.encode()) or NAME.search(body)
        if named is None:
            self.send_error(400, "No recording is named")
            return
        exchange = self.recordings[named[0].decode()]
        self.send_response(exchange.status)
        for name in _KEPT:
            if name in exchange.headers:
                self.send_header(name.decode(), exchange.headers[name].decode())
        data = exchange.response
        if exchange.stream:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for at in range(0, len(data), PIECE):
                piece = data[at : at + PIECE]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def replaying(recordings: dict[str, Exchange]) -> Iterator[int]:
    """Its port. ``recordings``: by name."""
    handler = type("Handler", (_Handler,), {"recordings": recordings})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
