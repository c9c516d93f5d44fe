"""Google's Vertex AI: Gemini's format at another address, with a token for a service account.

The credential is the service account's key as Google's console saves it (JSON). A token is asked
for with a signed assertion (RFC 7523) and kept until shortly before it ends; while it is renewed
the old one goes on. A credential that is no such JSON is taken for a token, or for an API key where
it looks like one. Source: Google's documentation, "Using OAuth 2.0 for server to server
applications", and Vertex AI's REST reference.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from time import monotonic, time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec import Struct

from proxy.ai.errors import ProviderSignInFailed
from proxy.ai.providers.gemini import FORMATS, verb
from proxy.ai.providers.openai import passed_on
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination

ANEW = True
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
EARLY_SECONDS = 300.0
"""So long before its end a token is renewed."""
WAIT_SECONDS = 10.0

_encode = msgspec.json.Encoder().encode


class Account(Struct):
    """The fields of a service account's key that matter here."""

    client_email: str
    private_key: str
    token_uri: str = TOKEN_URI
    private_key_id: str = ""
    project_id: str = ""


class Token(Struct):
    access_token: str
    expires_in: float = 3600.0


_decode_account = msgspec.json.Decoder(Account).decode
_decode_token = msgspec.json.Decoder(Token).decode


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    if operation == "count":
        return ("vertex", "gemini")
    return FORMATS.get(operation, ()) if operation != "embeddings" else ()


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    base = to.base if to.base.endswith(("/v1", "/v1beta1")) else f"{to.base}/v1beta1"
    account = _account(to)
    project = to.settings.get("project") or (account.project_id if account else "")
    location = to.settings.get("location") or "global"
    publisher, _, name = model.rpartition("/")
    where = f"projects/{quote(project, safe='')}/locations/{quote(location, safe='')}"
    who = f"publishers/{quote(publisher or 'google', safe='')}/models/{quote(name, safe='')}"
    return f"{base}/{where}/{who}:{verb(operation, spoken, model, stream=stream)}".encode()


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = passed_on(client, (b"accept", b"user-agent"))
    token = to.kept.get("token")
    if token is not None:
        sent.append((b"authorization", b"Bearer " + token))
    elif to.credential is not None and not to.credential.lstrip().startswith("{"):
        if to.credential.startswith("AIza"):
            sent.append((b"x-goog-api-key", to.credential.encode()))
        else:
            sent.append((b"authorization", b"Bearer " + to.credential.encode()))
    return sent


async def ready(to: Destination) -> None:
    """There is a token that holds. Raises ProviderSignInFailed."""
    if monotonic() < to.kept.get("renew_at", 0.0):
        return
    account = _account(to)
    if account is None:
        to.kept["renew_at"] = float("inf")
        return
    lock = to.kept.setdefault("lock", asyncio.Lock())
    if lock.locked() and to.kept.get("token") and monotonic() < to.kept["ends_at"]:
        return
    async with lock:
        if monotonic() >= to.kept.get("renew_at", 0.0):
            token = await _fetch(account)
            to.kept["token"] = token.access_token.encode()
            to.kept["ends_at"] = monotonic() + token.expires_in
            to.kept["renew_at"] = to.kept["ends_at"] - min(EARLY_SECONDS, token.expires_in / 2)


def _account(to: Destination) -> Account | None:
    if "account" not in to.kept:
        text = (to.credential or "").strip()
        try:
            to.kept["account"] = _decode_account(text) if text.startswith("{") else None
        except msgspec.DecodeError:
            to.kept["account"] = None
    account: Account | None = to.kept["account"]
    return account


async def _fetch(account: Account) -> Token:
    # Not on the hot path, and the client library costs more to import than to use.
    import httpx

    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    try:
        form["assertion"] = assertion(account, int(time()))
        async with httpx.AsyncClient(timeout=WAIT_SECONDS) as client:
            answer = await client.post(
                account.token_uri,
                content=urlencode(form),
                headers={"content-type": "application/x-www-form-urlencoded"},
            )
        answer.raise_for_status()
        return _decode_token(answer.content)
    except (httpx.HTTPError, msgspec.DecodeError, ValueError, TypeError) as error:
        raise ProviderSignInFailed(f"Google gave no token ({type(error).__name__}).") from error


def assertion(account: Account, now: int) -> str:
    """The signed statement that is exchanged for a token. Raises ValueError for a key that is no
    RSA key in PEM."""
    key = serialization.load_pem_private_key(account.private_key.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("The service account's key is no RSA key.")
    head = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + 3600,
    }
    signed = f"{_part(_encode(head))}.{_part(_encode(claims))}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_part(signature)}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
