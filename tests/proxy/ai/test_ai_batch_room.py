"""How much room the files take that wait for their batches: a tenant's, and all together."""

import asyncio
from io import BytesIO
from os import urandom
from time import time

import pytest
from ai_batches import jsonl, request, upload
from ai_cast import SECRET
from ai_message_batches import Anthropic

from contract import keys
from contract.secrets import Sealer
from proxy.ai.batches import room
from proxy.ai.batches.shelf import Shelf
from proxy.cluster import Reach

ROOM = keys.batch_room(0)


@pytest.fixture(autouse=True)
def anthropic(provider, platform):
    yield Anthropic(provider)
    for key in platform.valkey.keys("hubpo:batch:*"):
        platform.valkey.delete(key)


def ask(number=0, **body):
    return request("batched-claude", number=number, **body)


def kept(web):
    answer = upload(web, jsonl(ask()))
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def files(platform):
    return platform.valkey.keys("hubpo:batch:{alice}:file:*")


def taken(platform):
    return sum(map(int, platform.valkey.hvals(ROOM)))


def elsewhere(valkey_url, deed, *given):
    """What another worker does."""

    async def do():
        shelf = Shelf(valkey_url, Sealer(SECRET))
        try:
            return await getattr(shelf, deed)(*given)
        finally:
            shelf.close()

    return asyncio.run(do())


def test_a_tenant_has_so_much_room(web, platform, monkeypatch):
    first = kept(web)
    monkeypatch.setattr(room, "MOST_BYTES", 6000)
    refused = upload(web, jsonl(*[ask(number, text="x" * 90) for number in range(200)]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "batch_files_full")
    assert len(files(platform)) == 2  # The first file's.
    assert web.delete(f"/v1/files/{first}").status_code == 200
    assert taken(platform) == 0
    kept(web)


def test_all_tenants_together_have_so_much_room(web, platform, valkey_url, monkeypatch):
    monkeypatch.setattr(platform.application.gateway.batches.shelf._room, "_most", 300_000)
    elsewhere(valkey_url, "put", "bob", "a", "Bob's", BytesIO(urandom(295_000)), 295_000)
    assert 295_000 < taken(platform) < 300_000
    refused = upload(web, jsonl(ask()))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "batch_room_full")
    assert refused.headers["retry-after"] == "60"
    assert files(platform) == []
    assert platform.valkey.hlen(keys.batch_files("alice")) == 0
    assert elsewhere(valkey_url, "remove", "bob", "a")
    assert not elsewhere(valkey_url, "remove", "bob", "a")
    assert taken(platform) == 0
    kept(web)


def test_what_a_killed_worker_had_taken_is_free_again_in_the_end(web, platform):
    kept(web)
    ours = taken(platform)
    assert 86_400 < platform.valkey.ttl(ROOM) <= 87_300
    platform.valkey.hset(ROOM, str(int(time()) - 1), 600_000_000)
    kept(web)
    assert taken(platform) == pytest.approx(2 * ours, abs=50)


def test_what_valkey_lost_gives_no_room_to_be_had(web, platform, monkeypatch):
    first = kept(web)
    monkeypatch.setattr(platform.application.gateway.batches.shelf._room, "_most", 6000)
    platform.valkey.delete(ROOM)
    assert web.delete(f"/v1/files/{first}").status_code == 200
    assert taken(platform) == 0
    assert platform.valkey.ttl(ROOM) > 0
    platform.valkey.hset(ROOM, str(int(time()) + 5000), 3000)
    assert upload(web, jsonl(ask())).json()["error"]["code"] == "batch_room_full"


async def test_each_node_of_a_cluster_has_a_sum_of_its_own(cluster):
    reach, found = Reach(cluster.url), {}
    try:
        for number in range(200):
            ours = keys.batch_files(f"tenant-{number}")
            name = await reach.beside(ours, keys.batch_room)
            assert cluster.node_of(name) == cluster.node_of(ours)
            found.setdefault(cluster.node_of(ours), set()).add(name)
    finally:
        reach.close()
    assert len(found) == 3
    assert {len(names) for names in found.values()} == {1}
