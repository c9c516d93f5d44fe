"""The console's side of a Valkey Cluster: snapshots, counters and usage on three nodes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import time_ns

import pytest
from django.conf import settings

from analytics import limits
from analytics.ingest import Stream
from bench.valkey_nodes import Nodes
from catalog import store
from catalog.limits import rebuild as limit_rebuild
from catalog.limits import use as limit_use
from catalog.limits.counters import counted
from catalog.models import Application
from catalog.publish import publish
from catalog.reconcile import reconcile
from catalog.services import access
from catalog.snapshot import compile_snapshot
from config import env
from contract import keys
from contract.counters import slot_at
from tenants.valkey import connect


@pytest.fixture(scope="module")
def nodes():
    with tempfile.TemporaryDirectory(prefix="hubpo-t-", dir="/tmp") as directory:
        made = Nodes(Path(directory))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture(autouse=True)
def _on_cluster(nodes):
    """Put back by ``_empty_store``."""
    settings.REDIS_URL = nodes.url
    for node in nodes.nodes:
        node.flushall()


def test_a_change_is_stored_announced_at_every_node_and_withdrawn(nodes, in_alice, in_store):
    listeners = [node.pubsub(ignore_subscribe_messages=True) for node in nodes.nodes]
    for listener in listeners:
        listener.subscribe(keys.SNAPSHOT_CHANNEL)
        listener.get_message(timeout=5)
    access.save_application(application=Application(name="Shop"))
    assert publish(in_alice).in_effect
    assert [application.name for application in in_store(in_alice).applications] == ["Shop"]
    for listener in listeners:
        assert listener.get_message(timeout=5)["data"] == str(in_alice.pk).encode()
        listener.close()
    store.remove(str(in_alice.pk))
    assert in_store(in_alice) is None
    assert store.stored_all() == {}
    assert reconcile()[in_alice].in_effect


def test_counters_are_filled_and_read_wherever_they_are(
    alice_tenant, charlie_tenant, catalogue, alice
):
    assert {alice_tenant, charlie_tenant} <= set(limit_rebuild.rebuild_lost())
    assert limit_rebuild.rebuild_lost() == []
    with alice_tenant:
        access.approve_subscription(subscription=catalogue.subscription, actor=alice)
        snapshot = compile_snapshot(alice_tenant, 1)
    minute, day = counted(snapshot)
    slot = slot_at(time_ns() // 1000, minute.limit.window)
    name = minute.name(snapshot.tenant_id)
    store.client().hset(name, mapping={"n": 3, "f": slot, str(slot): 3})
    assert [use.used for use in limit_use.read_all(snapshot, [minute, day])] == [3, 0]


def test_usage_is_taken_from_the_node_that_has_it(nodes):
    store.client().xadd(keys.USAGE_STREAM, {"e": b"one"})
    store.client().xadd(keys.USAGE_STREAM, {"f": b"no event"})
    newest = limits.newest_entry()
    assert not limits.recorded_up_to(newest)
    stream = Stream(nodes.url, "here", idle=0)
    assert [entry.body for entry in stream.read(10)] == [b"one", b""]
    assert [entry.body for entry in stream.unfinished(10)] == [b"one", b""]
    claimed = Stream(nodes.url, "there", idle=0).claim(10)
    assert [entry.body for entry in claimed] == [b"one", b""]
    stream.finish(claimed)
    assert limits.recorded_up_to(newest)


def test_usage_is_taken_while_any_other_node_is_dead(nodes):
    """Also the one that the client asks what it does not know."""
    store.client().xadd(keys.USAGE_STREAM, {"e": b"one"})
    stream = Stream(nodes.url, "here", idle=0)
    assert [entry.body for entry in stream.read(10)] == [b"one"]
    home = nodes.node_of(keys.USAGE_STREAM)
    for other in {0, 1, 2} - {home}:
        cluster = stream._client
        cluster.set_default_node(cluster.get_node(host="127.0.0.1", port=nodes.ports[other]))
        nodes.kill(other)
        (entry,) = stream.unfinished(10)
        assert [one.body for one in stream.claim(10)] == [entry.body] == [b"one"]
        assert stream.read(10) == []
        nodes.start_node(other)
    stream.finish([entry])
    assert stream.unfinished(10) == []


def test_a_dead_node_is_an_outcome_and_no_error(nodes, in_alice):
    number = nodes.node_of(keys.SNAPSHOT_INDEX)
    nodes.kill(number)
    assert publish(in_alice).status == "waiting"
    nodes.start_node(number)


def test_an_address_where_nobody_answers_is_a_store_that_is_down():
    with pytest.raises(store.StoreError):
        connect("redis+cluster://127.0.0.1:1")


def test_celery_needs_a_valkey_beside_the_cluster(monkeypatch, nodes):
    monkeypatch.setenv("REDIS_URL", nodes.url)
    with pytest.raises(env.EnvError, match="BROKER_URL"):
        env.broker_url()
    monkeypatch.setenv("BROKER_URL", "redis://broker/2")
    assert env.broker_url() == "redis://broker/2"
