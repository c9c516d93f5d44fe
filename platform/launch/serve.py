"""``python -m launch.serve module:application FD on|off``: uvicorn on the launcher's socket.

``on`` for an application that has a lifespan; Django has none. The gateway is served by its
own protocol, which saves a system call for each answer. Only the console speaks WebSocket.

Several workers may share the socket, and it stays open while one of them starts again, so a
restart refuses no connection. (uvicorn's own ``--fd`` takes every socket for a Unix one, and
then knows no client's address.)
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from launch.process import announce_ready


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            announce_ready()


def main() -> None:
    application, fd, lifespan = sys.argv[1:]
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="proxy.server:Protocol" if application.startswith("config.gateway") else "httptools",
        ws="websockets-sansio" if application.startswith("config.asgi") else "none",
        ws_max_size=4096,  # the live pages only listen
        lifespan="on" if lifespan == "on" else "off",
        proxy_headers=False,  # nothing stands in front of us, so nobody may say who the client is
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    Server(config).run(sockets=[socket.socket(fileno=int(fd))])


if __name__ == "__main__":
    main()
