"""``python -m launch.serve module:application FD on|off``: uvicorn on the launcher's socket.

``on`` for an application that has a lifespan; Django has none. The gateway is served by its
own protocol, which saves a system call for each answer. Only the console speaks WebSocket.

Several workers may share the socket, and it stays open while one of them starts again, so a
restart refuses no connection. (uvicorn's own ``--fd`` takes every socket for a Unix one, and
then knows no client's address.)
"""

from __future__ import annotations

import resource
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

import uvicorn

from config import env
from launch.process import announce_ready

_QUICKLY = 1
"""Seconds for which calls may go on where all is to stop."""


class Server(uvicorn.Server):
    """SIGTERM lets a gateway finish its calls; with SIGINT everything is to stop."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT:
            self.config.timeout_graceful_shutdown = _QUICKLY
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            announce_ready()


def main() -> None:
    application, fd, lifespan = sys.argv[1:]
    gateway = application.startswith("config.gateway")
    if gateway:
        _allow_many_connections()
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="proxy.server:Protocol" if gateway else "httptools",
        ws="websockets-sansio" if application.startswith("config.asgi") else "none",
        ws_max_size=4096,  # the live pages only listen
        lifespan="on" if lifespan == "on" else "off",
        proxy_headers=False,  # nothing stands in front of us, so nobody may say who the client is
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        # The gateway itself ends what takes too long, a second before.
        timeout_graceful_shutdown=env.gateway_stop_seconds() + 1 if gateway else _QUICKLY,
    )
    with suppress(KeyboardInterrupt):  # uvicorn ends with the signal that it was sent
        Server(config).run(sockets=[socket.socket(fileno=int(fd))])


def _allow_many_connections() -> None:
    """Each is an open file, and so is each to an upstream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
