"""What a REDIS_URL names."""

from __future__ import annotations

import pytest

from contract.servers import AddressError, Server, is_cluster, servers


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://example", [Server("example", 6379)]),
        ("redis://:p%40ss@[::1]:7000/3", [Server("::1", 7000, password="p@ss", database="3")]),
        ("rediss://ann:x@h:1?db=2", [Server("h", 1, "", True, "ann", "x", "2")]),
        ("unix:///tmp/a%20b.sock?db=4", [Server(path="/tmp/a b.sock", database="4")]),
        ("redis+cluster://a:1,b:2,[::1]:3", [Server("a", 1), Server("b", 2), Server("::1", 3)]),
        ("rediss+cluster://u:p@a,b", [Server(h, 6379, "", True, "u", "p") for h in "ab"]),
    ],
)
def test_every_form_is_read(url: str, named: list[Server]) -> None:
    assert list(servers(url)) == named
    assert is_cluster(url) == ("+cluster" in url)


@pytest.mark.parametrize(
    "url",
    ["http://a", "", "redis://a:x", "redis+cluster://a:1,b:99999", "redis+cluster://:secret@a:1/3"],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(AddressError) as refused:
        servers(url)
    assert "REDIS_URL" in str(refused.value)
    assert "secret" not in str(refused.value)
