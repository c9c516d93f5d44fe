"""Usages whose parts are more than their whole, as some providers report them."""

import json

import pytest

from proxy.ai.formats.operations import OPERATIONS
from proxy.ai.middle import Answer, Choice, Request, Text, Usage


def counts(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            if "oken" in name and type(inner) in (int, float):
                yield name, inner
            yield from counts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from counts(inner)


@pytest.mark.parametrize("spoken", OPERATIONS["chat"])
def test_no_part_is_written_as_less_than_nothing(spoken):
    usage = Usage(10, 5, cached_tokens=9, cache_write_tokens=9, reasoning_tokens=8)
    answer = Answer(format="x", choices=[Choice([Text("hi")], "stop")], usage=usage)
    request = Request(format="x", model="m", messages=[])
    written = json.loads(OPERATIONS["chat"][spoken].write_answer(answer, request))
    found = list(counts(written))
    assert found
    assert min(count for _, count in found) >= 0, found
