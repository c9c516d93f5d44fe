"""What a request says reaches a provider of another format, or a note or a refusal says it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from contract.presets import PRESETS
from proxy.ai.errors import ParameterUnsupported
from proxy.ai.formats.chat.dialects import DIALECTS
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle.rules import Notes, apply, foreign

TARGETS = {
    "chat": "gpt-real",
    "messages": "claude-opus-4-6",
    "gemini": "gemini-2.5-pro",
    "converse": "amazon.nova-pro-v1:0",
    "cohere": "command-a",
}
MARK = {"type": "ephemeral"}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
LOOK = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
CALL = {"functionCall": {"id": "c1", "name": "look", "args": {}}}
PICTURE = {"mimeType": "image/png", "data": "iVBORw0K"}


def tell(source: str, said: dict[str, Any], target: str, **options) -> tuple[Any, Notes]:
    """The body that a provider of the format gets, and the notes."""
    notes = Notes()
    request = FORMATS[source].read_request(json.dumps(said).encode(), model="m")
    foreign(request, target, notes)
    apply(request, FORMATS[target].LACKS, notes)
    written = FORMATS[target].write_request(request, options.pop("model", TARGETS[target]), notes)
    return msgspec.json.decode(written), notes


def chat(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}], **more}


def messages(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": "Hi"}, *blocks]
    return {"max_tokens": 5, "messages": [{"role": "user", "content": content}], **more}


def answered(*blocks: dict[str, Any]) -> dict[str, Any]:
    """By the assistant, and asked again."""
    said = messages()
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "It is dry."}
    again = [result] if any(block["type"] == "tool_use" for block in blocks) else "And now?"
    said["messages"] += [
        {"role": "assistant", "content": list(blocks)},
        {"role": "user", "content": again},
    ]
    return said


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Hi"}, *parts]}], **more}


def turned(response: dict[str, Any], **call: Any) -> dict[str, Any]:
    """A call of a tool and its result."""
    made = {"functionCall": CALL["functionCall"] | call}
    said = gemini()
    said["contents"] += [
        {"role": "model", "parts": [made]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "look"} | response}]},
    ]
    return said


PLACES_OF_MARKS = {
    "system": messages(system=[{"type": "text", "text": "Be brief.", "cache_control": MARK}]),
    "user": messages({"type": "text", "text": "there", "cache_control": MARK}),
    "tool": messages(tools=[LOOK | {"cache_control": MARK}]),
    "call": answered(USE | {"cache_control": MARK}),
    "assistant": answered({"type": "text", "text": "Dry.", "cache_control": MARK}),
}


@pytest.mark.parametrize("place", PLACES_OF_MARKS)
@pytest.mark.parametrize("target", ["chat", "gemini", "cohere"])
def test_who_keeps_no_prompts_is_not_told_what_to_keep(place, target):
    body, notes = tell("messages", PLACES_OF_MARKS[place], target)
    assert "ephemeral" not in json.dumps(body)
    assert any("cache_control" in name or "call_cache" in name for name in notes.dropped)


@pytest.mark.parametrize("place", PLACES_OF_MARKS)
def test_bedrock_is_told_what_to_keep(place):
    body, notes = tell("messages", PLACES_OF_MARKS[place], "converse")
    assert "cachePoint" in json.dumps(body)
    assert not notes.dropped


NAMED = {"messages": [{"role": "user", "content": "Hi", "name": "bob"}]}
CLOSE = chat(
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,iVBORw0K", "detail": "high"},
                },
            ],
        }
    ]
)
CITED = answered(
    {
        "type": "text",
        "text": "Dry.",
        "citations": [{"type": "web_search_result_location", "url": "https://x", "title": "X"}],
    }
)
STRICT = messages(tools=[LOOK | {"strict": True}])
FAILED = answered(USE)
FAILED["messages"][-1]["content"][0]["is_error"] = True


@pytest.mark.parametrize(
    ("source", "said", "targets", "dropped"),
    [
        ("chat", NAMED, "messages gemini converse cohere", "messages.name"),
        ("chat", CLOSE, "messages gemini converse", "messages.image.detail"),
        ("messages", CITED, "chat gemini converse cohere", "messages.citations"),
        ("messages", STRICT, "gemini", "tools.strict"),
        ("messages", FAILED, "chat cohere", "tool_result.is_error"),
        (
            "gemini",
            gemini(systemInstruction={"parts": [{"text": "See."}, {"inlineData": PICTURE}]}),
            "messages converse",
            "messages.system.image",
        ),
        (
            "gemini",
            gemini(systemInstruction={"parts": [{"text": "See."}], "odd": 1}),
            "chat messages converse cohere",
            "odd",
        ),
        (
            "gemini",
            gemini({"inlineData": PICTURE | {"odd": 1}}),
            "chat messages converse cohere",
            "inlineData.odd",
        ),
        (
            "gemini",
            turned({"response": {"result": "dry"}, "scheduling": "SILENT"}),
            "chat messages converse cohere",
            "scheduling",
        ),
        (
            "gemini",
            turned({"response": {"result": "dry"}}, odd=1),
            "chat messages converse cohere",
            "odd",
        ),
        (
            "gemini",
            gemini(generationConfig={"mediaResolution": "LOW"}),
            "chat messages converse cohere",
            "generationConfig.mediaResolution",
        ),
        (
            "gemini",
            gemini(generationConfig={"thinkingConfig": {"odd": 1}}),
            "chat messages converse cohere",
            "thinkingConfig.odd",
        ),
        (
            "gemini",
            gemini(
                generationConfig={
                    "responseMimeType": "text/x.enum",
                    "responseSchema": {"type": "STRING", "enum": ["a", "b"]},
                }
            ),
            "chat messages converse cohere",
            "generationConfig.responseMimeType",
        ),
        (
            "gemini",
            gemini(
                toolConfig={
                    "functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["look"]}
                }
            ),
            "chat messages converse cohere",
            "functionCallingConfig.allowedFunctionNames",
        ),
        (
            "chat",
            chat(modalities=["text", "audio"], audio={"voice": "Kore", "format": "mp3"}),
            "gemini",
            "audio.format",
        ),
        ("chat", chat(service_tier="scale"), "converse", "service_tier"),
    ],
)
def test_what_has_no_place_is_noted(source, said, targets, dropped):
    for target in targets.split():
        _, notes = tell(source, said, target)
        assert dropped in notes.dropped, target


@pytest.mark.parametrize(
    ("source", "said", "name"),
    [
        ("responses", {"input": "Hi", "previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", {"input": "Hi", "conversation": "conv_1"}, "conversation"),
        ("responses", {"input": "Hi", "prompt": {"id": "pmpt_1"}}, "prompt"),
        ("responses", {"input": "Hi", "background": True}, "background"),
        ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_reference"),
        ("responses", {"input": "Hi", "tools": [{"type": "web_search"}]}, "tools.web_search"),
        ("chat", chat(web_search_options={"search_context_size": "low"}), "web_search_options"),
        ("messages", messages(mcp_servers=[{"type": "url", "url": "https://x"}]), "mcp_servers"),
        (
            "messages",
            messages(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
            "tools.web_search",
        ),
        ("gemini", gemini(cachedContent="cachedContents/1"), "cachedContent"),
        ("gemini", gemini(tools=[{"codeExecution": {}}]), "tools.codeExecution"),
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_what_the_answer_depends_on_is_refused(source, said, name, target):
    if source == target:
        return
    with pytest.raises(ParameterUnsupported) as refused:
        tell(source, said, target)
    assert refused.value.param.startswith(name)


def test_what_changes_nothing_is_not_refused():
    body, notes = tell("responses", {"input": "Hi", "background": False, "store": False}, "chat")
    assert notes.dropped == ["background", "store"]
    assert body["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("target", "tier"), [("chat", "default"), ("converse", {"type": "default"})]
)
def test_tiers_have_the_names_of_who_is_asked(target, tier):
    body, _ = tell("messages", messages(service_tier="standard_only"), target)
    assert body["serviceTier" if target == "converse" else "service_tier"] == tier


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1500}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 20_000}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 60_000}}, "high"),
    ],
)
def test_nova_thinks_as_much_as_was_asked(said, level):
    body, notes = tell("chat", chat(**said), "converse")
    assert body["additionalModelRequestFields"]["reasoningConfig"] == {
        "type": "enabled",
        "maxReasoningEffort": level,
    }
    assert notes.mapped == [f"reasoning=maxReasoningEffort {level}"]


def test_json_of_any_shape_is_asked_for_in_words_where_bedrock_has_none():
    body, notes = tell("chat", chat(response_format={"type": "json_object"}), "converse")
    assert "JSON object" in body["system"][-1]["text"]
    assert notes.mapped == ["output=an instruction"]


def test_gemini_gets_its_own_fields_back_when_it_is_told_anew():
    said = turned({"response": {"result": "dry"}, "scheduling": "SILENT"}, odd=1)
    said["contents"].append({"role": "user", "parts": [{"inlineData": PICTURE | {"odd": 2}}]})
    said["systemInstruction"] = {"parts": [{"text": "See."}, {"inlineData": PICTURE}]}
    said["generationConfig"] = {"thinkingConfig": {"thinkingBudget": 9, "odd": 3}}
    said["toolConfig"] = {
        "functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["look"]}
    }
    body, notes = tell("gemini", said, "gemini")
    assert body == said
    assert not notes.dropped


def test_every_dialect_is_one_of_a_preset():
    assert DIALECTS.keys() <= PRESETS.keys()


def claude_at_bedrock(**more: Any) -> tuple[Any, Notes]:
    asked = chat(**({"reasoning_effort": "medium", "max_completion_tokens": 20_000} | more))
    return tell("chat", asked, "converse", model="anthropic.claude-sonnet-4-5-v1:0")


def test_claude_at_bedrock_thinks_within_what_it_may_write():
    body, notes = claude_at_bedrock()
    assert body["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 8192}
    }
    body, notes = claude_at_bedrock(max_completion_tokens=5000)
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 4000
    body, notes = claude_at_bedrock(max_completion_tokens=None)
    assert body["inferenceConfig"] == {"maxTokens": 32_000}
    assert "max_tokens=32000" in notes.mapped
    body, notes = claude_at_bedrock(max_completion_tokens=500)
    assert "additionalModelRequestFields" not in body
    assert notes.dropped == ["reasoning"]


def test_claude_at_bedrock_neither_samples_nor_is_made_to_call_while_it_thinks():
    _, notes = claude_at_bedrock(temperature=0.2)
    assert notes.dropped == ["temperature"]
    tools = [{"type": "function", "function": {"name": "look"}}]
    body, notes = claude_at_bedrock(tools=tools, tool_choice="required")
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    assert "additionalModelRequestFields" not in body
    assert notes.dropped == ["reasoning"]
    body, _ = claude_at_bedrock(temperature=0.2, top_k=5, reasoning_effort="none")
    assert body["inferenceConfig"]["temperature"] == 0.2
    assert body["additionalModelRequestFields"] == {"top_k": 5}


def test_newer_models_of_claude_at_bedrock_are_told_an_effort():
    asked = chat(reasoning_effort="high", max_completion_tokens=5000)
    body, _ = tell("chat", asked, "converse", model="anthropic.claude-opus-4-8-v1:0")
    assert body["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
    }


def test_thoughts_that_nobody_signed_are_not_told_to_claude_at_bedrock():
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello.", "reasoning_content": "A greeting."},
        {"role": "user", "content": "And?"},
    ]
    body, notes = claude_at_bedrock(messages=said)
    assert "A greeting." not in json.dumps(body)
    assert notes.dropped == ["messages.thinking"]


@pytest.mark.parametrize("target", ["chat", "messages", "converse", "cohere"])
def test_a_result_that_is_told_as_text_is_not_called_dropped(target):
    body, notes = tell("gemini", turned({"response": {"sky": "dry", "wind": 3}}), target)
    assert "wind" in json.dumps(body)
    assert "response" not in notes.dropped


@pytest.mark.parametrize("target", ["chat", "messages", "gemini", "cohere"])
def test_a_result_in_json_of_bedrocks_clients_is_not_called_dropped(target):
    result = {"toolUseId": "t1", "content": [{"json": {"wind": 3}}], "status": "success"}
    use = {"toolUseId": "t1", "name": "look", "input": {}}
    said = [
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "assistant", "content": [{"toolUse": use}]},
        {"role": "user", "content": [{"toolResult": result}]},
    ]
    body, notes = tell("converse", {"messages": said}, target)
    assert "wind" in json.dumps(body)
    assert not {"json", "status"} & set(notes.dropped)


@pytest.mark.parametrize("target", ["chat", "gemini", "converse"])
def test_documents_in_pieces_are_mapped_and_only_where_one_was_found_is_dropped(target):
    piece = {"type": "text", "text": "It is dry."}
    _, notes = tell(
        "messages",
        messages({"type": "document", "source": {"type": "content", "content": [piece]}}),
        target,
    )
    assert "document.source=text" in notes.mapped
    assert not {"source", "type", "content"} & set(notes.dropped)
    found = {"type": "search_result", "source": "https://e.test", "title": "Sky"}
    _, notes = tell("messages", messages(found | {"content": [piece]}), target)
    assert "search_result=document" in notes.mapped
    assert "source" in notes.dropped
    assert not {"type", "content"} & set(notes.dropped)


def test_bedrock_is_not_told_of_tools_that_may_not_be_called():
    asked = chat(tools=[{"type": "function", "function": {"name": "look"}}], tool_choice="none")
    body, notes = tell("chat", asked, "converse")
    assert "toolConfig" not in body
    assert notes.mapped == ["tool_choice=no tools"]


def test_bedrock_cannot_be_kept_from_tools_that_were_called_before():
    asked = answered(USE) | {"tools": [LOOK], "tool_choice": {"type": "none"}}
    with pytest.raises(ParameterUnsupported) as refused:
        tell("messages", asked, "converse")
    assert refused.value.param == "tool_choice"
