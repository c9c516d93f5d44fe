"""Every recorded exchange of every provider, given to the clients of every format.

The answer is read in the provider's format and written in each client's: it must fit the types of
that format's official SDK, and read back it must say the same: texts, calls of tools and usage.
The request is read in the recorded client's format and written in each provider's: it must be
readable there and say the same. What is not so is in ``EXCEPTIONS``, each with its reason.

A request that a format cannot express is refused by a rule: that is no fault where the field is in
``ONLY_THERE`` or ``LACKED``, and it is counted apart from what was translated.

What passed, what was refused and why is written to ``conformance.txt`` in HUBPO_VAR.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from recordings import CHAT, RESPONSES, Exchange, exchanges, needed
from sdk_types import STREAMS, WHOLE

from proxy.ai.errors import ParameterUnsupported
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Answer, Failed, Media, Message, Refusal, Text, ToolCall, ToolResult
from proxy.ai.middle.events import Fold
from proxy.ai.middle.rules import Notes, apply, foreign

pytestmark = needed

SPOKEN = {
    "chat": CHAT,
    "responses": RESPONSES,
    "messages": r".*/v1/messages",
    "gemini": r".*:(g|streamG)enerateContent",
    "converse": r".*/converse(-stream)?",
    "cohere": r"/v2/chat",
}
"""Which recorded endpoints speak a format."""

EXCEPTIONS: dict[tuple[str, str], tuple[str, str]] = {
    ("4274aa329856", "messages"): (
        "texts: [''] and ['![image](data:image/jpeg;base64,",
        "The answer is a picture. Of the blocks of Anthropic's answers (the union ContentBlock of "
        "its SDK: texts, thoughts, calls and results of tools, files by an id of Anthropic's own) "
        "none can hold one, so the client gets it as a text, in Markdown with a data URL, where "
        "the recording has no text.",
    ),
}
"""By the id of an exchange and the format it is written in: how the only fault begins, and why it
cannot be mended."""

ONLY_THERE: dict[str, set[str]] = {
    "chat": {
        "web_search_options",
        "tools.foreign",
        "tools.openrouter:advisor",
        "tools.openrouter:web_search",
    },
    "responses": {
        "background",
        "conversation",
        "previous_response_id",
        "tools.code_interpreter",
        "tools.file_search",
        "tools.image_generation",
        "tools.mcp",
        "tools.namespace",
        "tools.tool_search",
        "tools.tools",
        "tools.web_search",
        "tools.web_search_preview",
    },
    "messages": {
        "mcp_servers",
        "tools.advisor",
        "tools.code_execution",
        "tools.memory",
        "tools.tool_search_tool_bm25",
        "tools.tool_search_tool_regex",
        "tools.web_fetch",
        "tools.web_search",
    },
    "gemini": {
        "cachedContent",
        "tools.codeExecution",
        "tools.fileSearch",
        "tools.googleSearch",
        "tools.urlContext",
    },
    "converse": {"tools.systemTool"},
    "cohere": set(),
}
"""By the client's format: what only its providers run or keep, so that any other may refuse it."""

LACKED: dict[str, set[str]] = {
    "chat": {"file.url", "image.id"},
    "responses": {"n", "stop", "audio", "video"},
    "messages": {
        "n",
        "logprobs",
        "messages.audio",
        "messages.file",
        "messages.image",
        "messages.video",
    },
    "gemini": {"a file of another provider's"},
    "converse": {
        "n",
        "logprobs",
        "audio by address",
        "file by address",
        "image by address",
        "video by address",
    },
    "cohere": {"n", "audio", "file", "image", "video"},
}
"""By the provider's format: what it has no place for, so that it may refuse it. Media are those it
cannot be given at all, or not by an address or an id."""

TOLD_OTHERWISE = {
    "output=an instruction",
    "tool_result.media=user_message",
    "file=text",
}
"""What is mapped to other messages than the client's, so that these need not be the same."""

PAIRS = [(source, target) for source in SPOKEN if source in FORMATS for target in FORMATS]
CLIENTS = [(source, target) for source, target in PAIRS if target in WHOLE]

passed: Counter[tuple[str, str, str, str]] = Counter()
failed: Counter[tuple[str, str, str, str]] = Counter()
noted: Counter[tuple[str, str, str, str]] = Counter()
"""Of those that passed: with notes of what was dropped or mapped."""
refused: Counter[tuple[str, str, str, str]] = Counter()
reasons: dict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
"""Of those refused: which field."""


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    yield
    lines = []
    for key in sorted(passed.keys() | failed.keys() | refused.keys()):
        what, provider, source, target = key
        count = f"{passed[key]} of {passed[key] + failed[key] + refused[key]}"
        if noted[key]:
            count += f", {noted[key]} with notes"
        if refused[key]:
            why = ", ".join(f"{param} {n}" for param, n in sorted(reasons[key].items()))
            count += f", {refused[key]} refused ({why})"
        lines.append(f"{what:8} {provider:14} {source:10} {target:10} {count}\n")
    Path(os.environ["HUBPO_VAR"], "conformance.txt").write_text("".join(lines))


def judge(what, exchange, source, target, faults):
    """Counts, and gives the fault of an exchange that is no known exception."""
    key = (what, exchange.provider, source, target)
    (failed if faults else passed)[key] += 1
    known, _ = EXCEPTIONS.get((exchange.id, target), ("", ""))
    if not faults or (known and len(faults) == 1 and faults[0].startswith(known)):
        return []
    return [(exchange, faults)]


def request_of(exchange: Exchange, source: str):
    """As the client sent it; a plain one where the recording lost the body."""
    stream = bool(exchange.stream)
    body = exchange.request
    if not body.startswith(b"{"):
        body = b'{"model": "m", "messages": []}'
        return FORMATS["chat"].read_request(body, stream=stream)
    return FORMATS[source].read_request(body, model="m", stream=stream)


def asked(target: str, stream: bool):
    """What a client of the format may have asked, as far as its answer depends on it."""
    body = b'{"model": "m", "messages": [], "stream_options": {"include_usage": true}}'
    request = FORMATS["chat"].read_request(body, stream=stream)
    request.format = target
    return request


def texts(answer: Answer) -> list[str]:
    return [
        "".join(p.text for p in choice.parts if isinstance(p, Text | Refusal))
        for choice in answer.choices
    ]


def calls(answer: Answer) -> list[list[tuple[str, object]]]:
    return [
        [(p.name, _value(p)) for p in choice.parts if isinstance(p, ToolCall)]
        for choice in answer.choices
    ]


def _value(call: ToolCall) -> object:
    """Arguments as values: formats that hold them so lose how the model spaced them."""
    try:
        return msgspec.json.decode(call.arguments)
    except msgspec.DecodeError:
        return call.arguments


def differences(before: Answer, after: Answer) -> list[str]:
    """Formats that have one choice only get the first."""
    count = max(1, len(after.choices))
    faults = []
    if texts(before)[:count] != texts(after):
        faults.append(f"texts: {texts(before)} and {texts(after)}"[:500])
    if calls(before)[:count] != calls(after):
        faults.append(f"calls: {calls(before)} and {calls(after)}"[:500])
    if before.usage is not None:
        was, now = before.usage, after.usage
        for name in ("input_tokens", "output_tokens"):
            if getattr(was, name) is not None and getattr(was, name) != getattr(now, name, None):
                faults.append(f"{name}: {was} and {now}")
    return faults


def beyond(found: list[str], theirs: list[str]) -> list[str]:
    """Faults that the provider's own answer, in the same format, does not have."""
    return [fault for fault in found if fault not in theirs]


@pytest.mark.parametrize(("source", "target"), CLIENTS)
def test_whole_answers(source, target):
    faults = []
    for exchange in exchanges(endpoint=SPOKEN[source], stream=False):
        answer = FORMATS[source].read_answer(exchange.response)
        written = FORMATS[target].write_answer(answer, asked(target, stream=False))
        found = WHOLE[target](msgspec.json.decode(written))
        if found and source == target:
            found = beyond(found, WHOLE[target](msgspec.json.decode(exchange.response)))
        found += differences(answer, FORMATS[target].read_answer(written))
        faults += judge("whole", exchange, source, target, found)
    assert not faults


@pytest.mark.parametrize(("source", "target"), CLIENTS)
def test_streams(source, target):
    faults = []
    for exchange in exchanges(endpoint=SPOKEN[source], stream=True):
        reader, fold = FORMATS[source].reader(), Fold(source)
        events = reader.feed(exchange.response) + reader.end()
        writer = FORMATS[target].writer(asked(target, stream=True))
        written = writer.write(events) + writer.end()
        again, refold = FORMATS[target].reader(), Fold(target)
        for event in events:
            fold.add(event)
        for event in again.feed(written) + again.end():
            refold.add(event)
        found = STREAMS[target](written)
        if found and source == target:
            found = beyond(found, STREAMS[target](exchange.response))
        if any(isinstance(event, Failed) for event in events):
            refold.answer.usage = fold.answer.usage
            if refold.fault is None:
                found.append("the failure is lost")
        found += differences(fold.answer, refold.answer)
        faults += judge("stream", exchange, source, target, found)
    assert not faults


def said(messages: list[Message]) -> list[str]:
    """All text that reaches the model, whatever message it is in."""
    found = []
    for message in messages:
        for part in message.parts:
            inner = part.parts if isinstance(part, ToolResult) else [part]
            found += [p.text for p in inner if isinstance(p, Text) and p.text.strip()]
    return sorted(found)


def counted(messages: list[Message]) -> Counter[str]:
    """How many calls, results and media there are."""
    found: Counter[str] = Counter()
    for message in messages:
        for part in message.parts:
            inner = part.parts if isinstance(part, ToolResult) else []
            for each in [part, *inner]:
                if isinstance(each, ToolCall | ToolResult | Media):
                    found[type(each).__name__] += 1
    return found


def whole(request: bytes) -> bool:
    """Some requests were recorded cut off, or not at all."""
    try:
        return isinstance(msgspec.json.decode(request), dict)
    except msgspec.DecodeError:
        return False


def unexpected(error: ParameterUnsupported, source: str, target: str) -> list[str]:
    """The fault of a refusal that is not declared, or does not name what is refused."""
    if error.param not in ONLY_THERE[source] | LACKED[target]:
        return [f"refused for {error.param!r}, which is not declared: {error}"]
    if f"'{error.param}'" not in str(error):
        return [f"refused without the field's name: {error}"]
    return []


def test_a_new_kind_of_refusal_is_a_fault():
    known = ParameterUnsupported("tools.googleSearch", "this model")
    assert not unexpected(known, "gemini", "chat")
    assert unexpected(known, "chat", "gemini")
    assert unexpected(ParameterUnsupported("seed", "this model"), "gemini", "chat")


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_requests(source, target):
    faults = []
    for exchange in exchanges(endpoint=SPOKEN[source]):
        if not whole(exchange.request):
            continue
        request = request_of(exchange, source)
        before = said(request.messages), counted(request.messages)
        notes = Notes()
        key = ("request", exchange.provider, source, target)
        found = []
        try:
            apply(request, FORMATS[target].LACKS, notes)
            foreign(request, target, notes)
            body = FORMATS[target].write_request(request, "m", notes)
            again = FORMATS[target].read_request(body, model="m", stream=request.stream)
            after = said(again.messages), counted(again.messages)
            if before != after and not TOLD_OTHERWISE.intersection(notes.mapped):
                found.append(f"{before} and {after}"[:1000])
            told = any(name.startswith("tools") for name in notes.dropped)
            told |= "tool_choice=no tools" in notes.mapped
            if len(again.tools) < len(request.tools) and not told:
                found.append("tools are lost")
        except ParameterUnsupported as error:
            found = unexpected(error, source, target)
            if not found:
                refused[key] += 1
                reasons[key][error.param] += 1
                continue
        noted[key] += bool(not found and (notes.dropped or notes.mapped))
        faults += judge("request", exchange, source, target, found)
    assert not faults
