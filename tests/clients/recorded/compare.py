"""Whether a client told what the recording says."""

from __future__ import annotations

from typing import Any

from tests.clients.recorded.chosen import Item
from tests.clients.recorded.told import finish_of, value_of

NEAR = 1e-6


def differences(item: Item, row: dict[str, Any]) -> list[str]:
    """``row``: as the client's script printed it, with ``told`` or ``raised``."""
    if item.step == "error":
        return _fault(item.want, row)
    if "raised" in row:
        return [f"it raised {row['raised']['words'][:300]}"]
    told = row["told"]
    if item.step == "embeddings":
        return _vectors(item.want["vectors"], told["vectors"])
    return _answer(item, told)


def _answer(item: Item, told: dict[str, Any]) -> list[str]:
    want, faults = item.want, []
    text, wanted = told["text"], want["text"]
    if item.step == "structured":
        text, wanted = value_of(text), value_of(wanted)
    if text != wanted:
        faults.append(f"text {text!r:.120} is not {wanted!r:.120}")
    calls = [[name, value_of(arguments)] for name, arguments in told["calls"]]
    if calls != [list(call) for call in want["calls"]]:
        faults.append(f"calls {calls!r:.150} are not {want['calls']!r:.150}")
    finish, ended = finish_of(told["finish"], calls), finish_of(want["finish"], want["calls"])
    if told["finish"] is not None and finish != ended:
        faults.append(f"finish {finish} is not {ended}")
    for name in ("input", "output"):
        if want[name] is not None and told[name] != want[name]:
            faults.append(f"{name} tokens {told[name]} are not {want[name]}")
    return faults


def _vectors(wanted: list[list[float]], found: list[list[float]]) -> list[str]:
    if len(found) != len(wanted):
        return [f"{len(found)} vectors are not {len(wanted)}"]
    for one, other in zip(found, wanted, strict=True):
        if any(abs(a - b) > NEAR for a, b in zip(one[: len(other)], other, strict=True)):
            return [f"vector {one[:3]} is not {other}"]
    return []


def _fault(want: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """A provider that refuses the gateway's credentials is the administrator's concern: the client
    is told that in the gateway's words, as 502."""
    if "raised" not in row:
        return [f"no error was raised, but {row['told']}"]
    raised, faults = row["raised"], []
    refused = want["status"] in (401, 403)
    status = 502 if refused else want["status"]
    if raised["status"] != status:
        faults.append(f"status {raised['status']} is not {status}: {raised['words'][:200]}")
    if not refused:
        for name in ("message", "code"):
            if _plain(want[name]) not in _plain(raised["words"]):
                faults.append(f"{name} {want[name]!r:.100} is not in {raised['words']!r:.300}")
    return faults


def _plain(text: str) -> str:
    """Without what quoting adds."""
    return "".join(c for c in text.replace("\\n", "") if c not in "\\\"'\n \t")
