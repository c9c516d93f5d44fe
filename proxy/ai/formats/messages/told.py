"""A request, written for Anthropic or for whoever else speaks its Messages API.

From a client that speaks this format it goes as it came. From others it is brought into the shape
that is wanted here: system messages stand before all others, turns alternate, results of tools
begin a turn, ``max_tokens`` is there, and what the model does not take is left out and said.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.errors import InvalidJson
from proxy.ai.formats.fields import encode
from proxy.ai.formats.messages import output, reasoning
from proxy.ai.formats.messages.models import Model
from proxy.ai.formats.messages.models import model as model_of
from proxy.ai.formats.messages.names import NAME, own
from proxy.ai.formats.messages.parts import Asked, Block, short
from proxy.ai.formats.messages.usage import joined
from proxy.ai.middle import Message, Request, Tool
from proxy.ai.middle.rules import Notes

_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only"}


def write_request(request: Request, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported, and InvalidJson where it is nested too deeply."""
    return encode(told(request, model, notes))


def told(request: Request, model: str, notes: Notes) -> dict[str, Any]:
    tell = _as_it_came if request.format == NAME else _for_others
    try:
        return tell(request, model, notes)
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error


def _as_it_came(request: Request, model: str, notes: Notes) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    asked = Asked(notes, as_is=True)
    messages = request.messages
    if messages and messages[0].role in ("system", "developer"):
        body["system"] = short(asked.content(messages[0].parts, "system"))
        messages = messages[1:]
    body["messages"] = [_message(message, asked) for message in messages]
    if request.stream:
        body["stream"] = True
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.service_tier:
        body["service_tier"] = request.service_tier
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    _tell_choice(request, body)
    reasoning.as_it_came(request.reasoning, body)
    if request.output is not None:
        bound = {"type": "json_schema", "schema": request.output.schema}
        body.setdefault("output_config", {})["format"] = bound
    extra = dict(request.extra)
    if "output_format" in extra and request.output is not None:
        joined(body["output_config"]["format"], extra.pop("output_format"))
    return joined(body, extra)


def _message(message: Message, asked: Asked) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    written: dict[str, Any] = {"role": role}
    if message.parts or role != "system":
        written["content"] = short(asked.content(message.parts, role))
    return joined(written, own(message.extra))


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.foreign is not None:
        return tool.foreign
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.schema is not None:
        written["input_schema"] = tool.schema
    if tool.strict is not None:
        written["strict"] = tool.strict
    if tool.cache is not None:
        written["cache_control"] = tool.cache
    return joined(written, own(tool.extra))


def _tell_choice(request: Request, body: dict[str, Any]) -> None:
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None and parallel is not False:
        return
    kind = choice.kind if choice is not None else "auto"
    words = {"auto": "auto", "none": "none", "required": "any", "one": "tool"}
    written: dict[str, Any] = {"type": words[kind]}
    if choice is not None and kind == "one":
        written["name"] = choice.name
    if parallel is not None and kind != "none":
        written["disable_parallel_tool_use"] = not parallel
    body["tool_choice"] = written


def _for_others(request: Request, name: str, notes: Notes) -> dict[str, Any]:
    model = model_of(name)
    body: dict[str, Any] = {"model": name, "max_tokens": request.max_tokens}
    if request.max_tokens is None:
        body["max_tokens"] = model.max_tokens
        notes.maps("max_tokens", str(model.max_tokens))
    system, messages = _turns(request, Asked(notes, as_is=False), notes)
    if request.stream:
        body["stream"] = True
    tools = [written for tool in request.tools for written in _known(tool, model, notes)]
    if tools:
        body["tools"] = tools
        _tell_choice(request, body)
    reasoning.tell(request, model, body, notes)
    order = output.tell(request.output, model, body, notes)
    if order:
        system.append({"type": "text", "text": order})
    if system:
        body["system"] = short(system)
    body["messages"] = messages
    tell_sampling(request, model, body, notes)
    _tell_others(request, body, notes)
    return body


def _turns(request: Request, asked: Asked, notes: Notes) -> tuple[list[Block], list[Block]]:
    """The system prompt's blocks, and the turns."""
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.name:
            notes.lacks("messages.name")
        blocks = asked.content(message.parts, message.role)
        if message.role in ("system", "developer"):
            if turns and blocks:
                notes.maps("messages.system", "the system prompt")
            system += _texts_only(blocks, notes)
        elif not blocks:
            continue
        elif turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": message.role, "content": blocks})
    if system and not turns:
        notes.maps("messages.system", "a message of the user")
        turns, system = [{"role": "user", "content": system}], []
    for turn in turns:
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        turn["content"] = short(turn["content"])
    return system, turns


def _texts_only(blocks: list[Block], notes: Notes) -> list[Block]:
    for block in blocks:
        if block["type"] != "text":
            notes.lacks(f"messages.system.{block['type']}")
    return [block for block in blocks if block["type"] == "text"]


def _known(tool: Tool, model: Model, notes: Notes) -> list[dict[str, Any]]:
    if tool.foreign is not None:
        if tool.format == NAME:
            return [tool.foreign]
        notes.lacks(f"tools.{tool.foreign.get('type') or tool.name}", "refuse")
        return []
    written = _tool(tool)
    written.pop("strict", None)
    if tool.custom is not None:
        notes.maps(f"tools.{tool.name}", "a function with one text")
        text = {"type": "string", "description": str(tool.custom.get("definition", ""))}
        written["input_schema"] = {
            "type": "object",
            "properties": {"input": text},
            "required": ["input"],
        }
        return [written]
    written["input_schema"] = output.of_object(tool.schema)
    if tool.strict and model.schemas:
        written["strict"] = True
        written["input_schema"], without = output.fitted(written["input_schema"])
        if without:
            notes.maps(f"tools.{tool.name}", f"without {' '.join(sorted(without))}")
    elif tool.strict:
        notes.lacks("tools.strict")
    return [written]


def tell_sampling(request: Request, model: Model, body: dict[str, Any], notes: Notes) -> None:
    """Writes ``temperature``, ``top_p`` and ``top_k``; ``thinking`` is in ``body`` already."""
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None and temperature > 1:
        notes.maps("temperature", "1")
        temperature = 1.0
    # Who thinks samples by default; there may be at most a slight cut of the improbable.
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    if model.samples_by_one and temperature is not None and top_p is not None:
        notes.lacks("top_p")
        top_p = None
    sampling = (
        ("temperature", temperature, temperature == 1),
        ("top_p", top_p, top_p is not None and top_p >= 0.95),
        ("top_k", request.top_k, False),
    )
    for name, value, mild in sampling:
        if value is None:
            continue
        if model.samples and (mild or not thinks):
            body[name] = value
        else:
            notes.lacks(name)


def _tell_others(request: Request, body: dict[str, Any], notes: Notes) -> None:
    stop = [text for text in request.stop if text.strip()]
    if len(stop) < len(request.stop):
        notes.lacks("stop")  # Anthropic knows none that is but white space.
    if stop:
        body["stop_sequences"] = stop
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.service_tier:
        tier = _TIERS.get(request.service_tier)
        if tier is None:
            notes.lacks("service_tier")
        else:
            body["service_tier"] = tier
    if set(request.modalities) - {"text"}:
        notes.lacks("modalities", "refuse")
