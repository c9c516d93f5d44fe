"""Usage in chat's spelling is read in a short way and in one for all: both say the same."""

import json
import random

from proxy.ai.formats.chat import usage

STRANGE = (None, -1, 1 << 41, 1.5, "7", True, [], {"web_search_requests": 2})
INPUT = ("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "other")
OUTPUT = ("reasoning_tokens", "audio_tokens", "image_tokens")
ELSEWHERE = (
    "prompt_cache_hit_tokens",
    "num_cached_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "num_search_queries",
    "server_tool_use",
    "server_tool_use_details",
)


def some(of, names, strange):
    """Some of the names with counts, or now and then with what is none."""
    chosen = of.sample(names, of.randint(0, len(names)))
    return {n: of.choice(STRANGE) if of.random() < strange else of.randint(0, 40) for n in chosen}


def reported(of):
    strange = of.choice((0, 0, 0.1))
    tokens = {"prompt_tokens": of.randint(0, 40), "completion_tokens": of.randint(0, 40)}
    tokens["total_tokens"] = sum(tokens.values()) + of.choice((0, 0, 7))
    if strange:
        tokens |= some(of, list(tokens), 0.5)
    if of.random() < 0.5:
        tokens["prompt_tokens_details"] = some(of, INPUT, strange)
        tokens["completion_tokens_details"] = some(of, OUTPUT, strange)
    elif of.random() < 0.2:
        tokens["prompt_tokens_details"] = of.choice(STRANGE)
    return tokens | (some(of, ELSEWHERE, strange) if of.random() < 0.4 else {})


def test_the_short_way_says_what_the_long_one_says():
    of = random.Random(7)
    for _ in range(5000):
        given = reported(of)
        data = json.dumps({"id": "c", "usage": given}).encode()
        assert usage.read_usage(data) == usage.read(given), given


def test_openais_own_report_is_read_on_the_short_way(monkeypatch):
    monkeypatch.setattr(usage, "read", None)
    reported = {
        "prompt_tokens": 9,
        "completion_tokens": 12,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    found = usage.read_usage(json.dumps({"usage": reported}).encode())
    assert (found.input_tokens, found.cached_tokens, found.reasoning_tokens) == (9, 4, 5)
