"""Telling by webhook: one POST of JSON, to an address that may be called.

With a secret the request carries ``Hubpo-Timestamp`` (Unix seconds) and ``Hubpo-Signature``:
``v1=`` and the hexadecimal HMAC-SHA256, under the secret, of the timestamp, a full stop and
the body. A receiver compares both, and refuses a timestamp that is old.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from contract.addresses import is_public

TIMEOUT = 5.0
"""Seconds for all of it, from looking up the name to the head of the answer."""


class NotDelivered(Exception):
    """The text says why, for whoever set the rule up."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    signed = b"%d." % timestamp + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def send(
    address: str, payload: dict[str, Any], *, secret: str, private_ok: bool, now: datetime
) -> str:
    """What the receiver answered, such as ``200``. Raises NotDelivered for anything but 2xx."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "Hubpo"}
    if secret:
        timestamp = int(now.timestamp())
        headers["Hubpo-Timestamp"] = str(timestamp)
        headers["Hubpo-Signature"] = signature(secret, timestamp, body)
    try:
        status = asyncio.run(asyncio.wait_for(_post(address, body, headers, private_ok), TIMEOUT))
    except (TimeoutError, httpx.TimeoutException):
        raise NotDelivered(f"No answer in {TIMEOUT:.0f} seconds.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotDelivered(f"The connection failed: {error}"[:300]) from error
    if not 200 <= status < 300:
        raise NotDelivered(f"It answered with {status}.")
    return str(status)


async def _post(address: str, body: bytes, headers: dict[str, str], private_ok: bool) -> int:
    """The status. The answer's body is not read."""
    url, host = await _pinned(address, private_ok)
    # Not through a proxy of the environment: what was looked up is what must be called.
    async with httpx.AsyncClient(timeout=None, trust_env=False, follow_redirects=False) as client:
        request = client.build_request(
            "POST",
            url,
            content=body,
            headers=headers | {"Host": urlsplit(address).netloc},
            extensions={"sni_hostname": host},
        )
        answer = await client.send(request, stream=True)
        await answer.aclose()
    return answer.status_code


async def _pinned(address: str, private_ok: bool) -> tuple[str, str]:
    """The address with the IP that its host resolves to now, and the host.

    What is checked is what is called: a name that resolves differently a moment later
    gains nothing.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, parts.port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotDelivered(f"The host {host} was not found.") from None
    numeric = [str(info[4][0]).partition("%")[0] for info in found]
    if not private_ok:
        numeric = [number for number in numeric if is_public(ip_address(number))]
    if not numeric:
        raise NotDelivered(f"{host} is a private address, which your account tier does not allow.")
    number = f"[{numeric[0]}]" if ":" in numeric[0] else numeric[0]
    place = f"{number}:{parts.port}" if parts.port else number
    return urlunsplit((parts.scheme, place, parts.path or "/", parts.query, "")), host
