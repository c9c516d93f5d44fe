"""What a provider lacks is dropped or refused, and said; what says nothing is passed over."""

import pytest

from proxy.ai.errors import ParameterUnsupported
from proxy.ai.middle import Message, Request, Text, Tool, ToolCall, ToolResult
from proxy.ai.middle.rules import Notes, apply, foreign


def test_a_parameter_that_says_what_holds_anyway_is_not_refused():
    request = Request(
        format="chat", model="m", messages=[], n=1, logprobs=False, top_logprobs=0, seed=7
    )
    notes = Notes()
    apply(
        request,
        {"n": "refuse", "logprobs": "refuse", "top_logprobs": "refuse", "seed": "drop"},
        notes,
    )
    assert notes.dropped == ["seed"]
    assert request.seed is None


def test_a_parameter_that_says_something_is_refused():
    request = Request(format="chat", model="m", messages=[], logprobs=True)
    with pytest.raises(ParameterUnsupported, match="logprobs"):
        apply(request, {"logprobs": "refuse"}, Notes())


def of_many_extras() -> Request:
    call = ToolCall("1", "look", extra={"messages": {"toolset_name": "browser"}})
    inner = Text("seen", extra={"messages": {"shade": 1}})
    result = ToolResult("1", [inner], extra={"messages": {"seen_at": 2}})
    return Request(
        format="messages",
        model="m",
        tools=[Tool("look", extra={"messages": {"defer_loading": True}})],
        messages=[
            Message("assistant", [call], extra={"messages": {"clear_at": "never"}}),
            Message("user", [result]),
        ],
        extra={"container": "c"},
    )


def test_what_only_the_clients_format_says_is_dropped_wherever_it_stands():
    request, notes = of_many_extras(), Notes()
    foreign(request, "chat", notes)
    assert notes.dropped == [
        "container",
        "defer_loading",
        "clear_at",
        "toolset_name",
        "seen_at",
        "shade",
    ]
    assert request.extra == {}


def test_the_next_provider_is_told_of_the_same_parts():
    request = of_many_extras()
    for _ in range(2):
        notes = Notes()
        foreign(request, "chat", notes)
        assert "toolset_name" in notes.dropped


def test_it_stays_for_the_format_itself():
    request, notes = of_many_extras(), Notes()
    foreign(request, "messages", notes)
    assert notes.dropped == []
    assert request == of_many_extras()


def test_notes_can_stand_in_a_header_whatever_a_client_calls_its_fields():
    notes = Notes()
    notes.lacks("a\r\nset-cookie: b=c")
    notes.maps("ä" * 500, "x")
    for number in range(100):
        notes.lacks(f"field{number}")
    assert notes.dropped[0] == "a??set-cookie: b=c"
    assert notes.mapped == ["?" * 200]
    assert len(notes.dropped) == 50
