"""Which addresses are anybody's to call, asked by both planes before they connect."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_NAT64 = ip_network("64:ff9b::/96")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is anybody's to call. IPv4 addresses wrapped in IPv6 are unwrapped."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def private_host(address: str) -> str | None:
    """A sentence for loopback, private, link-local and other non-public hosts, else None.

    ``address`` is an absolute URL. Names other than ``localhost`` count as public here,
    since only resolving them would tell.
    """
    host = (urlsplit(address).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return f"{host} is this machine itself."
    ip = _literal(host)
    if ip is None or is_public(ip):
        return None
    return f"{host} is on a private, loopback or link-local network."


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The IP that the text stands for, in the short and numeric spellings of IPv4 as well."""
    try:
        return ip_address(host)
    except ValueError:
        if not host or not host[0].isdigit():
            return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
