"""A generateContent request, read."""

from __future__ import annotations

from typing import Any, Literal

from proxy.ai.formats.fields import Fields, decode, wrong_request
from proxy.ai.formats.gemini import parts
from proxy.ai.formats.gemini.names import FORMAT, MADE, camelled, each, inner, own, plain_schema
from proxy.ai.middle import (
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

_MODES = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "model": "assistant",
    "system": "system",
}
_LEVELS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> Request:
    """Raises InvalidJson and InvalidRequest."""
    return read(Fields(camelled(decode(body)), "", wrong_request), model, stream=stream)


def read(fields: Fields, model: str, *, stream: bool) -> Request:
    """As ``read_request``, of a request that is inside something else."""
    request = Request(format=FORMAT, model=model, messages=[], stream=stream)
    system = inner(fields, "systemInstruction")
    if system is not None:
        said = _parts(system, _Calls(), [])
        system.take("role")
        request.messages.append(Message("system", said, extra=own(system.rest())))
    calls = _Calls()
    for content in each(fields, "contents"):
        role = content.text("role")
        said_by = _ROLES.get(role, "user")
        last = request.messages[-1] if request.messages else None
        if last is not None and last.role == said_by == "assistant":
            # Google's SDKs keep each piece of a stream as a content of its own.
            _parts(content, calls, last.parts)
            last.extra = own((last.extra or {}).get(FORMAT, {}) | content.rest())
            continue
        found = _parts(content, calls, [])
        request.messages.append(Message(said_by, found, extra=own(content.rest())))
    _tools(fields, request)
    _generation(fields, request)
    for name, value in fields.rest().items():
        if name != "model":
            request.extra[name] = value
    return request


class _Calls:
    """Gives tool calls that came without an id one, and results the id of the call that they
    answer: the first of that name that has no result yet."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[str, list[str]] = {}

    def next_id(self) -> str:
        self._count += 1
        return f"{MADE}{self._count}"

    def note(self, part: Part) -> None:
        if isinstance(part, ToolCall):
            self._open.setdefault(part.name, []).append(part.id)
        elif isinstance(part, ToolResult):
            waiting = self._open.get(part.name, [])
            if part.call_id in waiting:
                waiting.remove(part.call_id)
            elif part.call_id.startswith(MADE) and waiting:
                part.call_id = waiting.pop(0)


def _parts(content: Fields, calls: _Calls, found: list[Part]) -> list[Part]:
    """``found``, with them put behind what the turn has already."""
    goes_on = bool(found)
    for fields in each(content, "parts"):
        part = parts.read(fields, calls.next_id())
        if part is None:
            continue
        calls.note(part)
        if goes_on and _joined(found[-1], part):
            continue
        goes_on = False
        if isinstance(part, Thinking) and part.signature and parts.is_others(part):
            part.text = "".join([*_unsigned(found), part.text])
        found.append(part)
    return found


def _joined(last: Part, part: Part) -> bool:
    """The part is another piece of the text before it, and is put there."""
    if not isinstance(last, Text) or not isinstance(part, Text) or last.extra or part.extra:
        return False
    last.text += part.text
    return True


def _unsigned(found: list[Part]) -> list[str]:
    """Takes the thoughts at the end that nobody signed: pieces of a stream, whose last has the
    signature. Who signed it wants the whole."""
    texts: list[str] = []
    while found:
        last = found[-1]
        if not isinstance(last, Thinking) or last.signature or last.sealed:
            break
        texts.append(last.text)
        found.pop()
    return texts[::-1]


def _tools(fields: Fields, request: Request) -> None:
    for entry in each(fields, "tools"):
        for declared in each(entry, "functionDeclarations"):
            request.tools.append(_tool(declared))
        request.tools += [
            Tool(name=name, format=FORMAT, foreign={name: value})
            for name, value in entry.rest().items()
        ]
    config = inner(fields, "toolConfig")
    if config is None:
        return
    calling = inner(config, "functionCallingConfig")
    if calling is not None:
        mode, allowed = calling.text("mode").upper(), calling.texts("allowedFunctionNames")
        if mode == "ANY" and len(allowed) == 1:
            request.tool_choice = ToolChoice("one", allowed[0])
        elif mode in _MODES:
            request.tool_choice = ToolChoice(_MODES[mode])  # type: ignore[arg-type]
        rest = calling.rest()
        if mode == "VALIDATED":
            rest["mode"] = mode
        if allowed and (mode != "ANY" or len(allowed) > 1):
            rest["allowedFunctionNames"] = allowed
        if rest:
            request.extra["functionCallingConfig"] = rest
    rest = config.rest()
    if rest:
        request.extra["toolConfig"] = rest


def _tool(declared: Fields) -> Tool:
    schema = declared.table("parametersJsonSchema")
    if schema is None:
        schema = plain_schema(declared.table("parameters"))
    tool = Tool(name=declared.text("name"), description=declared.text("description"), schema=schema)
    rest = declared.rest()
    tool.extra = own(rest)
    return tool


def _generation(fields: Fields, request: Request) -> None:
    config = inner(fields, "generationConfig")
    if config is None:
        return
    request.temperature = config.number("temperature")
    request.top_p = config.number("topP")
    request.top_k = _whole(config.number("topK"))
    request.n = config.whole("candidateCount")
    request.max_tokens = config.whole("maxOutputTokens")
    request.stop = config.texts("stopSequences")
    request.seed = config.whole("seed")
    request.presence_penalty = config.number("presencePenalty")
    request.frequency_penalty = config.number("frequencyPenalty")
    request.logprobs = config.flag("responseLogprobs")
    request.top_logprobs = config.whole("logprobs")
    request.modalities = [name.lower() for name in config.texts("responseModalities")]
    request.output = _output(config, request.extra)
    thinking = inner(config, "thinkingConfig")
    if thinking is not None:
        request.reasoning = _reasoning(thinking)
        if thinking.rest():
            request.extra["thinkingConfig"] = thinking.rest()
    rest = config.rest()
    if rest:
        request.extra["generationConfig"] = request.extra.get("generationConfig", {}) | rest


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _output(config: Fields, extra: dict[str, Any]) -> OutputFormat | None:
    """One of several words (``text/x.enum``) is a JSON string to all other formats."""
    kind = config.text("responseMimeType")
    schema: Any = config.take("responseJsonSchema")
    if schema is None:
        schema = plain_schema(config.take("responseSchema"))
    if kind == "text/x.enum":
        extra["generationConfig"] = {"responseMimeType": kind}
    if type(schema) is dict:
        return OutputFormat("schema", "response", schema=schema)
    if kind == "application/json":
        return OutputFormat("json")
    return OutputFormat("text") if kind == "text/plain" else None


def _reasoning(thinking: Fields) -> Reasoning | None:
    """None where nothing is said of it: the fields of others are left, and false asks nothing."""
    budget, level = thinking.whole("thinkingBudget"), thinking.text("thinkingLevel").upper()
    shown = thinking.flag("includeThoughts")
    if budget is None and not level and not shown:
        return None
    reasoning = Reasoning(effort=_LEVELS.get(level, ""), summary="auto" if shown else "")
    if budget == 0:
        reasoning.on = False
    elif budget == -1:
        reasoning.adaptive = True
    elif budget is not None:
        reasoning.budget = budget
    return reasoning
