"""The pool by itself: TLS, addresses, and what it refuses to send."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contract.addresses import is_public
from contract.snapshot import Target, Timeouts
from proxy.errors import ConnectFailed, UpstreamBroken
from proxy.upstream.pool import Pool

TIMEOUTS = Timeouts(connect=2, first_byte=2, idle=2)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own authority for ``localhost``, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
async def tls_port(upstream: Any, certificate: Path) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    names: list[str | None] = []
    upstream.names = names
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def send(pool: Pool, host: str, port: int, scheme: Any = "https", **extra: Any) -> bytes:
    target = Target(id="t", scheme=scheme, host=host, port=port)
    options: dict[str, Any] = {"private_ok": True} | extra
    headers = options.pop("headers", [])
    response = await pool.send(target, "GET", b"/x", headers, b"", TIMEOUTS, **options)
    try:
        return await response.read(1 << 20)
    finally:
        response.close()


async def test_a_certificate_of_a_trusted_authority_is_accepted_and_the_name_sent(
    tls_port: int, upstream: Any, certificate: Path
) -> None:
    pool = Pool(ssl.create_default_context(cafile=str(certificate)))
    for _ in range(2):
        assert b'"/x"' in await send(pool, "localhost", tls_port)
    assert upstream.names == ["localhost"]
    assert upstream.connections == 1
    pool.close()


async def test_a_certificate_that_cannot_be_verified_is_refused_unless_told_otherwise(
    tls_port: int, certificate: Path
) -> None:
    pool = Pool()
    with pytest.raises(ConnectFailed, match="certificate"):
        await send(pool, "localhost", tls_port)
    assert b'"/x"' in await send(pool, "localhost", tls_port, tls_verify=False)
    pool.close()


async def test_a_certificate_for_another_name_is_refused(tls_port: int, certificate: Path) -> None:
    pool = Pool(ssl.create_default_context(cafile=str(certificate)))
    with pytest.raises(ConnectFailed, match="certificate"):
        await send(pool, "127.0.0.1", tls_port)
    pool.close()


async def test_an_answer_larger_than_asked_for_is_broken(upstream: Any) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000)

    upstream.script = script
    pool = Pool()
    with pytest.raises(UpstreamBroken, match="1048576"):
        await send(pool, "127.0.0.1", upstream.port, "http")
    pool.close()


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb"])
async def test_a_line_break_in_a_header_is_never_sent(upstream: Any, value: bytes) -> None:
    pool = Pool()
    with pytest.raises(ValueError, match="line break"):
        await send(pool, "127.0.0.1", upstream.port, "http", headers=[(b"x-a", value)])
    assert upstream.calls == []
    pool.close()


async def test_bytes_that_nobody_asked_for_end_the_connection(upstream: Any) -> None:
    async def script(call: Any, writer: asyncio.StreamWriter) -> None:
        extra = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue" + extra)

    upstream.script = script
    pool = Pool()
    for _ in range(3):
        assert await send(pool, "127.0.0.1", upstream.port, "http") == b"true"
    assert upstream.connections == 3
    pool.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_public_or_not_however_it_is_wrapped(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public
