"""The snapshot survives the wire, and nothing else passes for one."""

from __future__ import annotations

import msgspec
import pytest

from contract import snapshot
from contract.policies import BodyLimit, Limit
from contract.routing import Routing


def a_snapshot(**changes: object) -> snapshot.TenantSnapshot:
    values = {
        "format": snapshot.FORMAT,
        "tenant_id": "t1",
        "slug": "alice",
        "version": 3,
        "hosts": ("alice.localhost",),
        "plans": (snapshot.Plan("p1", "Free", (Limit("calls", 60, 60), BodyLimit(1000))),),
        "providers": (snapshot.Provider("v1", "V", "openai", "https://v.example/v1", b"sealed"),),
        "prompts": (
            snapshot.Prompt(
                "r1",
                "Translate",
                2,
                "r1v2",
                "m1",
                (snapshot.PromptMessage("user", "{{ text }}"),),
                (snapshot.PromptVariable("text"),),
                {"temperature": 0.0, "stop": ["\n"], "response_format": {"type": "json_object"}},
            ),
        ),
    }
    return snapshot.TenantSnapshot(**(values | changes))


def test_a_snapshot_comes_back_as_it_went() -> None:
    assert snapshot.decode(snapshot.encode(a_snapshot())) == a_snapshot()


def test_equal_snapshots_give_equal_bytes_whatever_the_order_of_their_parameters() -> None:
    prompt = a_snapshot().prompts[0]
    turned = dict(reversed(prompt.parameters.items()))
    other = a_snapshot(prompts=(msgspec.structs.replace(prompt, parameters=turned),))
    assert snapshot.encode(other) == snapshot.encode(a_snapshot())


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        a_snapshot().slug = "charlie"


def test_every_proper_prefix_of_a_blob_is_refused() -> None:
    blob = snapshot.encode(a_snapshot())
    for length in range(len(blob)):
        with pytest.raises(snapshot.SnapshotError):
            snapshot.decode(blob[:length])


def test_a_blob_of_another_format_is_refused_with_both_numbers() -> None:
    with pytest.raises(snapshot.SnapshotError, match=r"format 99.*reads 1"):
        snapshot.decode(snapshot.encode(a_snapshot(format=99)))


def test_what_becomes_of_a_broken_stream_or_a_spent_budget_is_one_of_what_is_known() -> None:
    model = snapshot.AIModel("m", "m", (), (), routing=Routing(on_break="continue"))
    budget = Limit("cost", 5, then="cheaper", fallback="m")
    blob = snapshot.encode(a_snapshot(models=(model,), policies=(budget,)))
    assert snapshot.decode(blob).models[0].routing.on_break == "continue"
    for known, unknown in ((b"continue", b"restarts"), (b"cheaper", b"dearest")):
        assert blob.count(known) == 1
        with pytest.raises(snapshot.SnapshotError):
            snapshot.decode(blob.replace(known, unknown))
