"""What an AI call is expected to use at most."""

from __future__ import annotations

import json

import pytest

from contract.snapshot import Prices
from proxy.ai.estimate import (
    ATTACHMENT,
    DEFAULT_OUTPUT,
    MOST_OUTPUT,
    Estimate,
    input_tokens,
    output_tokens,
)


def test_text_counts_half_a_token_a_byte() -> None:
    assert input_tokens(b"x" * 1001) == 501
    assert input_tokens("é".encode() * 100) == 100
    assert input_tokens(b"A" * 100_000) == 50_000


def test_a_form_counts_as_its_file_does() -> None:
    assert input_tokens(b"--x\r\n") == ATTACHMENT
    assert input_tokens(b"--x\r\n" + b"A" * 1_000_000) == 10_000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}},
        {"type": "input_audio", "input_audio": {"format": "mp3", "data": "A" * 100_000}},
    ],
)
def test_an_attachment_counts_by_itself(part: dict[str, object]) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": [part, part]}]}).encode()
    rest = len(body) - 200_000
    assert input_tokens(body) == 2 * ATTACHMENT + -(-rest // 2)
    larger = json.dumps([part]).replace("A" * 100_000, "A" * 1_000_000).encode()
    assert 10_000 <= input_tokens(larger) <= 10_100


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, DEFAULT_OUTPUT),
        ({"max_tokens": 50}, 50),
        ({"max_completion_tokens": 70, "max_tokens": 50}, 70),
        ({"max_tokens": 50, "n": 3}, 150),
        ({"n": 2}, 2 * DEFAULT_OUTPUT),
        ({"max_tokens": None}, DEFAULT_OUTPUT),
        ({"max_tokens": -5}, 0),
        ({"max_tokens": "many"}, DEFAULT_OUTPUT),
        ({"max_tokens": "many", "max_completion_tokens": 90_000}, 90_000),
        ({"max_tokens": 90_000, "n": [2]}, 90_000),
        ({"max_tokens": {}, "n": 2}, 2 * DEFAULT_OUTPUT),
        ({"max_tokens": 90_000, "generationConfig": "no"}, 90_000),
        ({"generationConfig": {"maxOutputTokens": 90_000, "candidateCount": "two"}}, 90_000),
        ({"generationConfig": {"maxOutputTokens": True, "candidateCount": 2}}, 2 * DEFAULT_OUTPUT),
        ({"generationConfig": None, "max_tokens": 9}, 9),
        ({"n": -4, "max_tokens": 9}, 9),
        ({"max_tokens": 90.0, "n": 2.0}, 180),
        ({"max_tokens": 1e30, "n": 3}, MOST_OUTPUT),
        ({"max_tokens": 10**30}, MOST_OUTPUT),
        ({"max_tokens": 10**4000, "n": 10**4000}, DEFAULT_OUTPUT),
        ({"max_tokens": 10**4000, "max_output_tokens": 90_000}, 90_000),
    ],
)
def test_output_is_what_the_call_allows(fields: dict[str, object], tokens: int) -> None:
    assert output_tokens(json.dumps(fields).encode()) == tokens


def test_cost_is_that_of_the_dearest_deployment_and_unknown_where_one_is() -> None:
    cheap, dear = Prices(1_000_000, 2_000_000), Prices(3_000_000, 3_000_000)
    euros = Prices(9_000_000, 9_000_000, currency="EUR")
    assert Estimate(10, 20, (cheap, dear, euros)).cost("USD") == 90
    assert Estimate(10, 20, (cheap, dear, euros)).cost("EUR") == 270
    assert Estimate(10, 20, (cheap, Prices())).cost("USD") is None
    assert Estimate(10, 0, (Prices(input=1_000_000),)).cost("USD") == 10
