"""Usage in the spelling of responses, where providers add to OpenAI's."""

import json

import pytest

from proxy.ai.formats import responses


@pytest.mark.parametrize(
    ("said", "output", "searches"),
    [
        ({"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}, 3, None),
        ({"input_tokens": 9, "output_tokens": 3, "total_tokens": 112}, 103, None),
        (
            {
                "input_tokens": 9,
                "output_tokens": 3,
                "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 10},
            },
            3,
            12,
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 3,
                "server_side_tool_usage_details": {"mcp_calls": 1, "x_search_calls": "x"},
            },
            3,
            None,
        ),
    ],
    ids=["plain", "thoughts beyond the output", "searches", "no searches"],
)
def test_what_xai_counts_apart_is_read(said, output, searches):
    usage = responses.read_usage(json.dumps({"usage": said}).encode())
    assert usage is not None
    assert (usage.output_tokens, usage.searches) == (output, searches)
