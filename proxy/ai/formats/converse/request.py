"""A Converse request, read and written."""

from __future__ import annotations

import msgspec

from proxy.ai.formats.converse import blocks, claude
from proxy.ai.formats.converse.blocks import FORMAT, Block
from proxy.ai.formats.fields import Fields, encode, request_fields
from proxy.ai.middle import (
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.ai.middle.rules import Notes, texts_only, unsaid

_TIERS = {
    "auto": "default",
    "default": "default",
    "standard_only": "default",
    "priority": "priority",
    "flex": "flex",
    "reserved": "reserved",
}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 2048, "medium": 8192, "high": 24576}
_NOVA_LEVELS = {"minimal": "low", "xhigh": "high", "max": "high"}
_UNSAID = ("name", "detail", "citations")
_JSON_ONLY = "Answer with one JSON object and nothing else."


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> Request:
    """Raises InvalidJson and InvalidRequest."""
    fields = request_fields(body)
    request = Request(format=FORMAT, model=model, messages=[], stream=stream)
    system = blocks.read_all(fields, "system")
    if system:
        request.messages.append(Message("system", system))
    for message in fields.each("messages"):
        role = "assistant" if message.text("role") == "assistant" else "user"
        found = blocks.read_all(message, "content")
        rest = message.rest()
        request.messages.append(
            Message(role, found, extra={FORMAT: rest} if rest else None)  # type: ignore[arg-type]
        )
    config = fields.inner("inferenceConfig")
    if config is not None:
        request.max_tokens = config.whole("maxTokens")
        request.temperature = config.number("temperature")
        request.top_p = config.number("topP")
        request.stop = config.texts("stopSequences")
        if config.rest():
            request.extra["inferenceConfig"] = config.rest()
    _read_tools(fields, request)
    request.output = _read_output(fields)
    tier = fields.inner("serviceTier")
    request.service_tier = tier.text("type") if tier is not None else ""
    request.metadata = fields.table("requestMetadata")
    request.extra |= fields.rest()
    return request


def _read_tools(fields: Fields, request: Request) -> None:
    config = fields.inner("toolConfig")
    if config is None:
        return
    for entry in config.each("tools"):
        spec = entry.inner("toolSpec")
        if spec is not None:
            schema = spec.inner("inputSchema")
            tool = Tool(spec.text("name"), spec.text("description"), strict=spec.flag("strict"))
            tool.schema = schema.table("json") if schema is not None else None
            tool.extra = {FORMAT: spec.rest()} if spec.rest() else None
            request.tools.append(tool)
            continue
        point = entry.table("cachePoint")
        if point is not None and request.tools and request.tools[-1].foreign is None:
            request.tools[-1].cache = {"type": "ephemeral"}
        else:
            told = entry.rest() | ({"cachePoint": point} if point is not None else {})
            request.tools.append(Tool(next(iter(told), ""), format=FORMAT, foreign=told))
    choice = config.table("toolChoice")
    if choice:
        kind = next(iter(choice))
        named = choice[kind].get("name", "") if type(choice[kind]) is dict else ""
        request.tool_choice = ToolChoice(
            {"any": "required", "tool": "one"}.get(kind, "auto"),  # type: ignore[arg-type]
            named,
        )
    if config.rest():
        request.extra["toolConfig"] = config.rest()


def _read_output(fields: Fields) -> OutputFormat | None:
    config = fields.inner("outputConfig")
    text = config.inner("textFormat") if config is not None else None
    if text is None:
        return None
    structure = text.inner("structure")
    schema = structure.inner("jsonSchema") if structure is not None else None
    if schema is None:
        return OutputFormat("text" if text.text("type") != "json_schema" else "json")
    written = schema.text("schema")
    try:
        read = msgspec.json.decode(written)
    except (msgspec.DecodeError, RecursionError) as error:
        raise schema.wrong("schema", "JSON") from error
    return OutputFormat("schema", schema.text("name"), schema.text("description"), read)


def write_request(request: Request, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported."""
    own = request.format == FORMAT
    if not own:
        unsaid(request, _UNSAID, notes)
    skipped = ("inferenceConfig", "toolConfig")
    body: Block = {name: value for name, value in request.extra.items() if name not in skipped}
    system, messages = _messages(request, model, notes, own=own)
    if system:
        body["system"] = system
    body["messages"] = messages
    told, more = _settings(request, model, notes, own=own)
    told |= request.extra.get("inferenceConfig", {})
    if request.stop:
        told["stopSequences"] = request.stop
    if told:
        body["inferenceConfig"] = told
    _write_tools(request, body, notes)
    _write_output(request, body, notes)
    if request.metadata:
        body["requestMetadata"] = {name: str(value) for name, value in request.metadata.items()}
    if request.service_tier:
        tier = request.service_tier if own else _TIERS.get(request.service_tier)
        if tier is None:
            notes.lacks("service_tier")
        else:
            body["serviceTier"] = {"type": tier}
    if more:
        body["additionalModelRequestFields"] = more | body.get("additionalModelRequestFields", {})
    return encode(body)


def _messages(
    request: Request, model: str, notes: Notes, *, own: bool
) -> tuple[list[Block], list[Block]]:
    """System messages go apart; neighbours of one role are joined, as Bedrock wants turns."""
    system: list[Block] = []
    messages: list[Block] = []
    for message in request.messages:
        if message.role in ("system", "developer"):
            if messages:
                notes.maps("system message", "system")
            parts = message.parts if own else texts_only(message, notes)
            system += blocks.write_all(list(parts), notes, own=own)
            continue
        said = message.parts if own else _without_unsigned(message.parts, model, notes)
        content = blocks.write_all(said, notes, own=own)
        if not content and not own:
            continue
        if not own and messages and messages[-1]["role"] == message.role:
            messages[-1]["content"] += content
        else:
            extra = (message.extra or {}).get(FORMAT, {})
            messages.append({"role": message.role, "content": content, **extra})
    return system, messages


def _without_unsigned(parts: list[Part], model: str, notes: Notes) -> list[Part]:
    """Anthropic's models refuse thoughts that nobody signed."""
    if not claude.is_claude(model):
        return parts
    kept = [p for p in parts if not isinstance(p, Thinking) or p.signature or p.sealed]
    if len(kept) < len(parts):
        notes.lacks("messages.thinking")
    return kept


def _write_tools(request: Request, body: Block, notes: Notes) -> None:
    tools: list[Block] = []
    for tool in request.tools:
        if tool.foreign is not None:
            if tool.format == FORMAT:
                tools.append(tool.foreign)
            else:
                notes.lacks(f"tools.{tool.name or 'foreign'}", "refuse")
            continue
        spec: Block = {"name": tool.name}
        if tool.description:
            spec["description"] = tool.description
        schema = tool.schema
        if tool.custom is not None:
            notes.maps(f"tool {tool.name}", "one with a field 'input'")
            schema = {"type": "object", "properties": {"input": {"type": "string"}}}
        spec["inputSchema"] = {"json": schema or {"type": "object", "properties": {}}}
        if tool.strict is not None:
            spec["strict"] = tool.strict
        tools.append({"toolSpec": spec | (tool.extra or {}).get(FORMAT, {})})
        if tool.cache is not None:
            tools.append({"cachePoint": blocks.point(tool.cache)})
    if not tools:
        return
    config: Block = {"tools": tools}
    choice = request.tool_choice
    if choice is not None and choice.kind == "none":
        # Bedrock cannot be told to call none of its tools, so it is not told of them. Where calls
        # were made before, it wants to know them, and might call them.
        if not _calls_before(request):
            notes.maps("tool_choice", "no tools")
            return
        notes.lacks("tool_choice", "refuse", only="auto, required or one (after calls)")
    elif choice is not None:
        kinds: dict[str, Block] = {
            "auto": {"auto": {}},
            "required": {"any": {}},
            "one": {"tool": {"name": choice.name}},
        }
        config["toolChoice"] = kinds[choice.kind]
    body["toolConfig"] = config | request.extra.get("toolConfig", {})


def _calls_before(request: Request) -> bool:
    parts = [part for message in request.messages for part in message.parts]
    return any(isinstance(part, ToolCall | ToolResult) for part in parts)


def _write_output(request: Request, body: Block, notes: Notes) -> None:
    output = request.output
    if output is None or output.kind == "text":
        return
    if output.schema is None:
        notes.maps("output", "an instruction")
        body["system"] = [*body.get("system", []), {"text": _JSON_ONLY}]
        return
    schema: Block = {"schema": encode(output.schema).decode(), "name": output.name or "answer"}
    if output.description:
        schema["description"] = output.description
    body["outputConfig"] = {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}
    }


def _settings(request: Request, model: str, notes: Notes, *, own: bool) -> tuple[Block, Block]:
    """``inferenceConfig``, and what Converse leaves to each maker's models, in its words."""
    if claude.is_claude(model) and not own:
        return claude.tell(request, model, notes)
    config = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
    }
    told = {name: value for name, value in config.items() if value is not None}
    return told, _additional(request, model, notes)


def _additional(request: Request, model: str, notes: Notes) -> Block:
    more: Block = {}
    if request.top_k is not None:
        if "nova" in model:
            more["inferenceConfig"] = {"topK": request.top_k}
        else:
            more["top_k"] = request.top_k
    reasoning = request.reasoning
    if reasoning is not None:
        more |= _reasoning(reasoning, model, notes)
    return more


def _reasoning(reasoning: Reasoning, model: str, notes: Notes) -> Block:
    effort = reasoning.effort or ("medium" if reasoning.on else "none")
    if "nova" in model:
        if not reasoning.on or effort == "none":
            return {"reasoningConfig": {"type": "disabled"}}
        level = _NOVA_LEVELS.get(effort, effort)
        if not reasoning.effort and reasoning.budget is not None:
            known = [name for name, tokens in _BUDGETS.items() if tokens >= reasoning.budget]
            level = _NOVA_LEVELS.get(known[0], known[0]) if known else "high"
        if level != reasoning.effort:
            notes.maps("reasoning", f"maxReasoningEffort {level}")
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    if "gpt-oss" in model or "deepseek" in model or "qwen" in model:
        return {"reasoning_effort": effort}
    notes.lacks("reasoning")
    return {}
