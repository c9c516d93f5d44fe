"""Which addresses a target may have."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

from contract.addresses import is_public
from proxy.errors import AddressForbidden, ConnectFailed

Address = tuple[socket.AddressFamily, str]
"""Family and numeric host."""


async def resolve(host: str, port: int, *, private_ok: bool) -> list[Address]:
    """The addresses to connect to, in order.

    What is checked here is what is connected to: a name that later resolves to something
    else gains nothing. Raises ConnectFailed where there is no address and
    AddressForbidden where there are only forbidden ones.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed from error
    addresses: list[Address] = [(family, str(info[0])) for family, _, _, _, info in found]
    if private_ok:
        return addresses
    public = [pair for pair in addresses if is_public(ip_address(pair[1].partition("%")[0]))]
    if not public:
        raise AddressForbidden
    return public
