"""Amazon Bedrock: the Converse API, and InvokeModel for reranking, signed with AWS Signature
Version 4.

The credential is an API key of Bedrock's, sent as a Bearer token, or an access key id and a secret
access key with a colon between (and a session token after another). Source: AWS's documentation,
"Signature Version 4 signing process" and Bedrock's API reference.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from proxy.ai.providers.openai import passed_on
from proxy.errors import Headers

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination

SERVICE = "bedrock"
ANEW = True
_FORMATS = {"chat": ("converse",), "rerank": ("bedrock_rerank",)}


def speaks(to: Destination, operation: str) -> tuple[str, ...]:
    return _FORMATS.get(operation, ())


def path(to: Destination, operation: str, spoken: str, model: str, *, stream: bool) -> bytes:
    verb = "converse-stream" if stream else "converse"
    if operation != "chat":
        verb = "invoke"
    return f"{to.base}/model/{quote(model, safe='')}/{verb}".encode()


def headers(to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes) -> Headers:
    sent = passed_on(client, (b"user-agent",))
    credential = to.credential
    if credential is None:
        return sent
    if ":" not in credential:
        return [*sent, (b"authorization", b"Bearer " + credential.encode())]
    access, _, rest = credential.partition(":")
    secret, _, session = rest.partition(":")
    region = to.settings.get("region") or region_of(to.target.host)
    host = to.target.host if to.target.port in (80, 443) else f"{to.target.host}:{to.target.port}"
    return sent + sign(
        host, path.decode(), body, access, secret, session, region, datetime.now(UTC)
    )


def region_of(host: str) -> str:
    """Of ``bedrock-runtime.eu-central-1.amazonaws.com``."""
    parts = host.split(".")
    return parts[1] if len(parts) > 3 else "us-east-1"


def sign(
    host: str,
    path: str,
    body: bytes,
    access: str,
    secret: str,
    session: str,
    region: str,
    now: datetime,
) -> Headers:
    """The header fields that sign a POST of JSON to ``path``, which has no query.

    A path is encoded once more for the signature, as for every service but S3.
    """
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    signed = {"content-type": "application/json", "host": host, "x-amz-date": moment}
    if session:
        signed["x-amz-security-token"] = session
    names = ";".join(sorted(signed))
    fields = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join(("POST", quote(path, safe="/-_.~"), "", fields, names, digest))
    scope = f"{day}/{region}/{SERVICE}/aws4_request"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashed))
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    sent: Headers = [(b"x-amz-date", moment.encode()), (b"authorization", authorization.encode())]
    if session:
        sent.append((b"x-amz-security-token", session.encode()))
    return sent
