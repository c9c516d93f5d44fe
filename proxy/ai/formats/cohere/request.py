"""A chat request of Cohere's, read and written."""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.cohere import parts
from proxy.ai.formats.cohere.parts import FORMAT, Block
from proxy.ai.formats.fields import Fields, encode, request_fields
from proxy.ai.middle import (
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from proxy.ai.middle.rules import Notes, unsaid

_BUDGETS = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
_UNSAID = ("name", "cache_control", "citations", "is_error")


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> Request:
    """Raises InvalidJson and InvalidRequest."""
    fields = request_fields(body)
    request = Request(format=FORMAT, model=fields.text("model") or model, messages=[])
    request.stream = fields.flag("stream") or stream
    for message in fields.each("messages"):
        _read_message(message, request.messages)
    for entry in fields.each("tools"):
        request.tools.append(_read_tool(entry))
    strict = fields.flag("strict_tools")
    if strict is not None:
        for tool in request.tools:
            tool.strict = strict
    choice = fields.text("tool_choice")
    if choice:
        request.tool_choice = ToolChoice("required" if choice.upper() == "REQUIRED" else "none")
    request.max_tokens = fields.whole("max_tokens")
    request.temperature = fields.number("temperature")
    request.top_p = fields.number("p")
    request.top_k = fields.whole("k")
    request.stop = fields.texts("stop_sequences")
    request.seed = fields.whole("seed")
    request.presence_penalty = fields.number("presence_penalty")
    request.frequency_penalty = fields.number("frequency_penalty")
    request.logprobs = fields.flag("logprobs")
    request.output = _read_output(fields)
    thinking = fields.inner("thinking")
    if thinking is not None:
        on = thinking.text("type") != "disabled"
        request.reasoning = Reasoning(on=on, budget=thinking.whole("token_budget"))
    request.extra = fields.rest()
    return request


def _read_message(message: Fields, messages: list[Message]) -> None:
    role = message.text("role").lower()
    found: list[Part]
    if role == "tool":
        result = parts.read_result(message)
        if messages and messages[-1].role == "user" and _only_results(messages[-1]):
            messages[-1].parts.append(result)
        else:
            messages.append(Message("user", [result]))
        return
    if role in ("assistant", "chatbot"):
        role, found = "assistant", parts.read_message(message)
    else:
        role = role if role in ("system", "developer") else "user"
        found = parts.read_content(message)
    rest = message.rest()
    messages.append(Message(role, found, extra={FORMAT: rest} if rest else None))  # type: ignore[arg-type]


def _only_results(message: Message) -> bool:
    return all(isinstance(part, ToolResult) for part in message.parts)


def _read_tool(entry: Fields) -> Tool:
    function = entry.inner("function")
    if function is None:
        return Tool(entry.text("name"), format=FORMAT, foreign=entry.rest())
    tool = Tool(function.text("name"), function.text("description"), function.table("parameters"))
    tool.extra = {FORMAT: function.rest()} if function.rest() else None
    return tool


def _read_output(fields: Fields) -> OutputFormat | None:
    said = fields.inner("response_format")
    if said is None:
        return None
    schema = said.table("json_schema") or said.table("schema")
    if schema is not None:
        return OutputFormat("schema", "answer", schema=schema)
    return OutputFormat("json" if said.text("type") == "json_object" else "text")


def write_request(request: Request, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported."""
    if request.format != FORMAT:
        unsaid(request, _UNSAID, notes)
    body: Block = {"model": model, **request.extra}
    if request.stream:
        body["stream"] = True
    body["messages"] = [told for message in request.messages for told in _written(message, notes)]
    tools = _written_tools(request.tools, notes)
    if tools:
        body["tools"] = tools
    strict = {tool.strict for tool in request.tools if tool.strict is not None}
    if strict:
        body["strict_tools"] = True in strict
    _write_choice(request, body, notes)
    told: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "p": request.top_p,
        "k": request.top_k,
        "stop_sequences": request.stop or None,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "logprobs": request.logprobs,
        "response_format": _written_output(request.output),
        "thinking": _thinking(request.reasoning, notes),
    }
    body |= {name: value for name, value in told.items() if value is not None}
    return encode(body)


def _written(message: Message, notes: Notes) -> list[Block]:
    own = (message.extra or {}).get(FORMAT, {})
    if message.role == "assistant":
        return [{"role": "assistant", **parts.write_message(message.parts, notes), **own}]
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    others = [part for part in message.parts if not isinstance(part, ToolResult)]
    told = [parts.write_result(result, notes) for result in results]
    blocks = [parts.write_part(part, notes) for part in others]
    content = [block for block in blocks if block is not None]
    if content or not results:
        role = "system" if message.role in ("system", "developer") else "user"
        plain = len(others) == 1 and isinstance(others[0], Text)
        said: Any = content[0]["text"] if plain and content else content
        told.append({"role": role, "content": said, **own})
    return told


def _written_tools(tools: list[Tool], notes: Notes) -> list[Block]:
    told: list[Block] = []
    for tool in tools:
        if tool.foreign is not None:
            if tool.format == FORMAT:
                told.append(tool.foreign)
            else:
                notes.lacks(f"tools.{tool.name or 'foreign'}", "refuse")
            continue
        function: Block = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        schema = tool.schema
        if tool.custom is not None:
            notes.maps(f"tool {tool.name}", "one with a field 'input'")
            schema = {"type": "object", "properties": {"input": {"type": "string"}}}
        function["parameters"] = schema or {"type": "object", "properties": {}}
        own = (tool.extra or {}).get(FORMAT, {})
        told.append({"type": "function", "function": function | own})
    return told


def _write_choice(request: Request, body: Block, notes: Notes) -> None:
    choice = request.tool_choice
    if choice is None or choice.kind == "auto":
        return
    body["tool_choice"] = "NONE" if choice.kind == "none" else "REQUIRED"
    if choice.kind == "one":
        # Only the one tool is told, so that it is the one that is called.
        named = [t for t in body.get("tools", []) if t["function"]["name"] == choice.name]
        others = [t["function"]["name"] for t in body.get("tools", []) if t not in named]
        if named:
            body["tools"] = named
            for name in others:
                notes.lacks(f"tools.{name}")
        notes.maps("tool_choice", f"REQUIRED, of {choice.name} alone")


def _written_output(output: OutputFormat | None) -> Block | None:
    if output is None:
        return None
    if output.kind == "text":
        return {"type": "text"}
    schema = {} if output.schema is None else {"json_schema": output.schema}
    return {"type": "json_object", **schema}


def _thinking(reasoning: Reasoning | None, notes: Notes) -> Block | None:
    if reasoning is None:
        return None
    if not reasoning.on or reasoning.effort == "none":
        return {"type": "disabled"}
    told: Block = {"type": "enabled"}
    budget = reasoning.budget
    if budget is None and reasoning.effort in _BUDGETS:
        budget = _BUDGETS[reasoning.effort]
        notes.maps("reasoning", f"token_budget {budget}")
    if budget is not None:
        told["token_budget"] = budget
    return told
