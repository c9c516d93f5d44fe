"""What calls weigh in the gateway's memory, and who does not read their answers."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

MEGABYTE = 1 << 20


class slow_reader:
    """A socket that takes little before it is read."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> socket.socket:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        await asyncio.get_running_loop().sock_connect(self.socket, ("127.0.0.1", self.port))
        return self.socket

    async def __aexit__(self, *error: object) -> None:
        self.socket.close()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
