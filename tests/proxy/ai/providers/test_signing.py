"""Signatures for Bedrock, against AWS's own library, and statements for Google's tokens."""

import asyncio
import base64
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from contract.snapshot import Provider
from proxy.ai.compiled import Destination
from proxy.ai.errors import ProviderSignInFailed
from proxy.ai.providers import bedrock, vertex

NOW = datetime(2026, 11, 28, 6, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize("session", ["", "token/with+signs=="])
@pytest.mark.parametrize("model", ["anthropic.claude-3-v1:0", "arn:aws:bedrock:us-east-1:1:x/y z"])
def test_a_signature_is_the_one_that_aws_expects(session, model, monkeypatch):
    to = Destination(
        Provider("p", "P", "bedrock", "https://bedrock-runtime.eu-west-1.aws.com"), "a"
    )
    path = bedrock.path(to, "chat", "converse", model, stream=False).decode()
    body = '{"messages": [{"role": "user", "content": [{"text": "Grüße"}]}]}'.encode()
    host = "bedrock-runtime.eu-west-1.amazonaws.com"
    ours = dict(bedrock.sign(host, path, body, "AKID", "secret", session, "eu-west-1", NOW))

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return NOW

        @classmethod
        def utcnow(cls):
            return NOW.replace(tzinfo=None)

    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: NOW, raising=False)
    monkeypatch.setattr("botocore.auth.datetime", type("m", (), {"datetime": Clock}), raising=False)
    request = AWSRequest(
        "POST", f"https://{host}{path}", {"Content-Type": "application/json"}, data=body
    )
    SigV4Auth(Credentials("AKID", "secret", session or None), "bedrock", "eu-west-1").add_auth(
        request
    )
    assert ours[b"authorization"].decode() == request.headers["Authorization"]


def key_pair():
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key, pem.decode()


class TokenServer(BaseHTTPRequestHandler):
    asked: list[dict] = []
    status = 200

    def do_POST(self):
        size = int(self.headers["content-length"])
        self.asked.append(parse_qs(self.rfile.read(size).decode()))
        answer = json.dumps({"access_token": f"token-{len(self.asked)}", "expires_in": 3600})
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def tokens():
    handler = type("Tokens", (TokenServer,), {"asked": [], "status": 200})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    thread.join()


def account(uri, pem):
    fields = {"type": "service_account", "client_email": "a@b.example", "private_key": pem}
    return json.dumps(fields | {"token_uri": uri, "private_key_id": "k1", "project_id": "mine"})


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_service_account_gets_one_token_for_many_calls(tokens):
    handler, uri = tokens
    key, pem = key_pair()
    provider = Provider("p", "P", "vertex", "https://aiplatform.googleapis.com")
    to = Destination(provider, account(uri, pem))
    await asyncio.gather(*(vertex.ready(to) for _ in range(20)))
    assert len(handler.asked) == 1
    sent = dict(vertex.headers(to, {}, b"/", b""))
    assert sent[b"authorization"] == b"Bearer token-1"
    assert b"/projects/mine/locations/global/" in vertex.path(
        to, "chat", "gemini", "m", stream=False
    )
    head, claims, signature = handler.asked[0]["assertion"][0].split(".")
    key.public_key().verify(
        part(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    said = json.loads(part(claims))
    assert (said["iss"], said["aud"]) == ("a@b.example", uri)
    assert said["exp"] - said["iat"] == 3600


async def test_a_token_is_renewed_before_its_end(tokens):
    handler, uri = tokens
    _, pem = key_pair()
    to = Destination(Provider("p", "P", "vertex", "https://h"), account(uri, pem))
    await vertex.ready(to)
    to.kept["renew_at"] = 0.0
    await vertex.ready(to)
    assert len(handler.asked) == 2
    assert to.kept["token"] == b"token-2"


async def test_an_account_that_gets_no_token_is_an_error_that_says_so(tokens):
    handler, uri = tokens
    _, pem = key_pair()
    handler.status = 401
    to = Destination(Provider("p", "P", "vertex", "https://h"), account(uri, pem))
    with pytest.raises(ProviderSignInFailed, match="credential"):
        await vertex.ready(to)
    broken = Destination(Provider("p", "P", "vertex", "https://h"), account(uri, "no key"))
    with pytest.raises(ProviderSignInFailed):
        await vertex.ready(broken)
