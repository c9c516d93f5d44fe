"""A request, written for Gemini."""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.fields import encode
from proxy.ai.formats.gemini import parts
from proxy.ai.formats.gemini.names import FORMAT
from proxy.ai.middle import Message, Request, Tool, ToolCall
from proxy.ai.middle.rules import Notes, texts_only, unsaid

_LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""What efforts are as budgets, for models that know no levels."""
_MOST_BUDGET = 24576

Told = dict[str, Any]
_OWN = ("functionCallingConfig", "toolConfig", "generationConfig", "thinkingConfig")
_UNSAID = ("name", "cache_control", "detail", "file_name", "citations", "strict")


def write_request(request: Request, model: str, notes: Notes) -> bytes:
    """Raises ParameterUnsupported."""
    return encode(told(request, model, notes))


def told(request: Request, model: str, notes: Notes) -> Told:
    body: dict[str, Any] = {
        name: value for name, value in request.extra.items() if name not in _OWN
    }
    if request.format != FORMAT:
        unsaid(request, _UNSAID, notes)
    system, contents = _contents(request, model, notes)
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = contents
    tools = _tools(request.tools, notes)
    if tools:
        body["tools"] = tools
    choice = _tool_config(request)
    if choice:
        body["toolConfig"] = choice
    config = _generation(request, model, notes)
    if config:
        body["generationConfig"] = config
    return body


def _contents(request: Request, model: str, notes: Notes) -> tuple[list[Told], list[Told]]:
    """System messages are told apart, wherever they stood; neighbours of one role are joined."""
    names = {
        part.id: part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolCall)
    }
    # Only models of the third generation ask for signatures that they did not give. Of calls in
    # parallel they sign but the first.
    asks = "gemini-3" in model
    system: list[Told] = []
    contents: list[Told] = []
    for message in request.messages:
        sign = asks and (request.format != FORMAT or any(map(parts.is_others, message.parts)))
        sign = sign and not any(isinstance(p, ToolCall) and p.signature for p in message.parts)
        if message.role in ("system", "developer"):
            if contents:
                notes.maps("system message", "systemInstruction")
            if request.format == FORMAT:
                system += _written(message, notes, names, sign)
                continue
            system += [{"text": text.text} for text in texts_only(message, notes)]
            continue
        written = _written(message, notes, names, sign)
        role = "model" if message.role == "assistant" else "user"
        if not written:
            continue
        if contents and contents[-1]["role"] == role and request.format != FORMAT:
            contents[-1]["parts"] += written
        else:
            own = (message.extra or {}).get(FORMAT, {})
            contents.append({"role": role, "parts": written, **own})
    return system, contents


def _written(message: Message, notes: Notes, names: dict[str, str], sign: bool) -> list[Told]:
    found: list[Told] = []
    for part in message.parts:
        told = parts.write(part, notes, names, sign=sign)
        if told is not None:
            found.append(told)
    return found


def _tools(tools: list[Tool], notes: Notes) -> list[Told]:
    declared: list[Told] = []
    entries: list[Told] = []
    for tool in tools:
        if tool.foreign is not None:
            if tool.format == FORMAT:
                entries.append(tool.foreign)
            else:
                notes.lacks(f"tools.{tool.name or 'foreign'}", "refuse")
            continue
        told: dict[str, Any] = {"name": tool.name, **(tool.extra or {}).get(FORMAT, {})}
        if tool.description:
            told["description"] = tool.description
        if tool.custom is not None:
            notes.maps(f"tool {tool.name}", "one with a field 'input'")
            text = {"type": "object", "properties": {"input": {"type": "string"}}}
            told["parametersJsonSchema"] = text | {"required": ["input"]}
        elif tool.schema:
            told["parametersJsonSchema"] = tool.schema
        if not declared:
            entries.append({"functionDeclarations": declared})
        declared.append(told)
    return entries


def _tool_config(request: Request) -> dict[str, Any]:
    config: dict[str, Any] = dict(request.extra.get("toolConfig", {}))
    own = request.extra.get("functionCallingConfig", {})
    choice = request.tool_choice
    calling: dict[str, Any] = {}
    if choice is not None:
        calling["mode"] = {"auto": "AUTO", "none": "NONE"}.get(choice.kind, "ANY")
        if choice.kind == "one":
            calling["allowedFunctionNames"] = [choice.name]
    if calling or own:
        config["functionCallingConfig"] = calling | own
    return config


def _generation(request: Request, model: str, notes: Notes) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "candidateCount": request.n,
        "maxOutputTokens": request.max_tokens,
        "stopSequences": request.stop or None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "responseLogprobs": request.logprobs,
        "logprobs": request.top_logprobs,
        "responseModalities": [name.upper() for name in request.modalities] or None,
    }
    output = request.output
    if output is not None and output.kind != "text":
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = output.schema if output.kind == "schema" else None
    elif output is not None:
        config["responseMimeType"] = "text/plain"
    thinking = request.extra.get("thinkingConfig")
    config["thinkingConfig"] = _thinking(request, model, notes) or thinking
    if thinking and request.reasoning is not None:
        config["thinkingConfig"] |= thinking
    if request.audio is not None and request.audio.get("voice"):
        voice = {"prebuiltVoiceConfig": {"voiceName": request.audio["voice"]}}
        config["speechConfig"] = {"voiceConfig": voice}
        for name in request.audio.keys() - {"voice"}:
            notes.lacks(f"audio.{name}")
    told = {name: value for name, value in config.items() if value is not None}
    own: dict[str, Any] = request.extra.get("generationConfig", {})
    return told | own


def _thinking(request: Request, model: str, notes: Notes) -> dict[str, Any] | None:
    reasoning = request.reasoning
    if reasoning is None:
        return None
    config: dict[str, Any] = {}
    if not reasoning.on:
        config["thinkingBudget"] = 0
    elif reasoning.budget is not None:
        config["thinkingBudget"] = min(reasoning.budget, _MOST_BUDGET)
        if reasoning.budget > _MOST_BUDGET:
            notes.maps("reasoning", f"thinkingBudget {_MOST_BUDGET}")
    elif reasoning.effort and (request.format == FORMAT or "gemini-3" in model):
        config["thinkingLevel"] = _LEVELS.get(reasoning.effort, "HIGH")
    elif reasoning.effort:
        config["thinkingBudget"] = _BUDGETS.get(reasoning.effort, _MOST_BUDGET)
        notes.maps("reasoning", f"thinkingBudget {config['thinkingBudget']}")
    elif reasoning.adaptive:
        config["thinkingBudget"] = -1
    if reasoning.summary:
        config["includeThoughts"] = True
    return config
