"""Tools, the choice among them, and calls of them.

Sources: OpenAI's API reference, chat completions: ``tools`` (functions and custom tools),
``tool_choice``, the older ``functions`` and ``function_call``; Mistral's (``any``); Gemini's
endpoint of this format (``extra_content.google.thought_signature`` of a call).
"""

from __future__ import annotations

from typing import Any, Literal

from proxy.ai.formats.chat.dialects import Telling
from proxy.ai.formats.chat.names import NAME, own, owned
from proxy.ai.formats.fields import Fields, encode
from proxy.ai.middle import Part, Request, Tool, ToolCall, ToolChoice


class OldFunction(Tool):
    """From ``functions``, which ``tools`` replaced: its client expects ``function_call``."""


def old(request: Request) -> bool:
    return any(isinstance(tool, OldFunction) for tool in request.tools)


def read(body: Fields) -> list[Tool]:
    """Takes ``tools`` and ``functions``."""
    tools = [_tool(tool) for tool in body.each("tools")]
    return tools + [_function(tool, OldFunction) for tool in body.each("functions")]


def _tool(fields: Fields) -> Tool:
    entry = fields.rest()
    kind = fields.text("type")
    inner = fields.inner(kind) if kind in ("function", "custom") else None
    if not kind and fields.has("function"):
        inner = fields.inner("function")
    if inner is None:
        return Tool(fields.text("name"), format=NAME, foreign=entry)
    tool = _custom(inner) if kind == "custom" else _function(inner, Tool)
    tool.cache = fields.table("cache_control")
    rest = fields.rest()
    if tool.extra:
        rest[kind or "function"] = tool.extra[NAME]
    tool.extra = own(rest)
    return tool


def _function(fields: Fields, made: type[Tool]) -> Tool:
    tool = made(
        _name(fields),
        fields.text("description"),
        fields.table("parameters"),
        fields.flag("strict"),
    )
    tool.extra = own(fields.rest())
    return tool


def _custom(fields: Fields) -> Tool:
    tool = Tool(_name(fields), fields.text("description"), custom={})
    form = fields.inner("format")
    if form is not None and form.text("type") == "grammar":
        tool.custom = form.table("grammar") or {}
    tool.extra = own(fields.rest())
    return tool


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name:
        raise fields.wrong("name", "a string")
    return name


def write(request: Request, telling: Telling) -> dict[str, Any]:
    """``tools``, ``tool_choice`` and their older kin, as far as the request has them."""
    if telling.former:
        return _former_written(request)
    written: dict[str, Any] = {}
    entries = []
    for tool in request.tools:
        if tool.foreign is not None and tool.format != NAME:
            telling.notes.lacks(f"tools.{tool.name or 'foreign'}", "refuse")
        else:
            entries.append(_written(tool, telling))
    if entries:
        written["tools"] = entries
    if request.tool_choice is not None and (entries or telling.own):
        written["tool_choice"] = _choice_written(request.tool_choice, request)
    if request.parallel_tool_calls is not None and (entries or telling.own):
        written["parallel_tool_calls"] = request.parallel_tool_calls
    return written


def _former_written(request: Request) -> dict[str, Any]:
    written: dict[str, Any] = {
        "functions": [_function_written(tool) | owned(tool.extra) for tool in request.tools]
    }
    choice = request.tool_choice
    if choice is not None:
        one = choice.kind == "one"
        written["function_call"] = {"name": choice.name} if one else choice.kind
    return written


def _function_written(tool: Tool) -> dict[str, Any]:
    inner: dict[str, Any] = {"name": tool.name}
    if tool.description:
        inner["description"] = tool.description
    if tool.schema is not None:
        inner["parameters"] = tool.schema
    if tool.strict is not None:
        inner["strict"] = tool.strict
    return inner


def _written(tool: Tool, telling: Telling) -> dict[str, Any]:
    if tool.foreign is not None:
        return tool.foreign
    inner = _function_written(tool)
    if tool.custom is None:
        entry: dict[str, Any] = {"type": "function", "function": inner}
    else:
        if tool.custom:
            inner["format"] = {"type": "grammar", "grammar": tool.custom}
        entry = {"type": "custom", "custom": inner}
    if tool.cache and telling.dialect.cache_control:
        entry["cache_control"] = tool.cache
    elif tool.cache:
        telling.notes.lacks("tools.cache_control")
    for name, more in owned(tool.extra).items():
        entry[name] = entry[name] | more if name in entry else more
    return entry


_CHOICES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}


def read_choice(body: Fields, extra: dict[str, Any]) -> ToolChoice | None:
    """Takes ``tool_choice`` and ``function_call``. What can only be said roughly is also kept."""
    given = body.take("tool_choice")
    if given is None:
        given = body.take("function_call")
    if given is None:
        return None
    if type(given) is str:
        known = _CHOICES.get(given)
        if known is None:
            extra["tool_choice"] = given
        return ToolChoice(known) if known else None
    fields = body.at(given, "tool_choice")
    kind = fields.text("type") or "function"
    inner = fields.inner(kind) if kind in ("function", "custom", "allowed_tools") else None
    if kind == "allowed_tools" and inner is not None:
        extra["tool_choice"] = given
        return ToolChoice("required" if inner.text("mode") == "required" else "auto")
    name = inner.text("name") if inner is not None else fields.text("name")
    if name:
        return ToolChoice("one", name)
    extra["tool_choice"] = given
    return None


def _choice_written(choice: ToolChoice, request: Request) -> Any:
    if choice.kind == "required":
        return "required"
    if choice.kind != "one":
        return choice.kind
    custom = any(tool.custom is not None for tool in request.tools if tool.name == choice.name)
    kind = "custom" if custom else "function"
    return {"type": kind, kind: {"name": choice.name}}


def read_calls(message: Fields, made_id: str) -> tuple[list[Part], list[Any]]:
    """Takes ``tool_calls`` and ``function_call``: what can be read, and entries of other kinds.
    Calls without an id get one from ``made_id``."""
    calls: list[Part] = []
    others: list[Any] = []
    for place, given in enumerate(message.items("tool_calls")):
        fields = message.at(given, f"tool_calls[{place}]")
        kind = "custom" if fields.text("type") == "custom" else "function"
        inner = fields.inner(kind)
        if inner is None:
            others.append(given)
        else:
            calls.append(_call(fields, inner, kind == "custom", f"{made_id}_{place}"))
    former = message.inner("function_call")
    if former is not None:
        name = former.text("name")
        if name:
            calls.append(ToolCall(made_id, name, arguments(former)))
    return calls, others


def _call(fields: Fields, inner: Fields, custom: bool, made_id: str) -> ToolCall:
    text = inner.text("input") if custom else arguments(inner)
    call = ToolCall(fields.text("id") or made_id, inner.text("name"), text, custom)
    call.signature = signature_of(fields.rest().get("extra_content"))
    call.cache = fields.table("cache_control")
    for understood in ("index", "function", "custom", "extra_content" if call.signature else ""):
        fields.take(understood)
    call.extra = own(fields.rest())
    return call


def arguments(function: Fields) -> str:
    """JSON text; some providers send the object itself, or nothing where there are none."""
    given = function.take("arguments")
    if type(given) is str:
        return given or "{}"
    return "{}" if given is None else encode(given).decode()


def signature_of(extra_content: Any) -> str:
    google = extra_content.get("google") if type(extra_content) is dict else None
    signature = google.get("thought_signature") if type(google) is dict else None
    return signature if type(signature) is str else ""


def write_calls(parts: list[Part], former: bool, *, signed: bool = True) -> dict[str, Any]:
    """``tool_calls``, or ``function_call`` for clients of the ``former`` kind; ``signed``: with
    their signatures."""
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if not calls:
        return {}
    if former:
        return {"function_call": _inner(calls[0])}
    return {"tool_calls": [_call_written(call, signed) for call in calls]}


def _call_written(call: ToolCall, signed: bool) -> dict[str, Any]:
    kind = "custom" if call.custom else "function"
    entry = {"id": call.id, "type": kind, kind: _inner(call)}
    if signed and call.signature:
        entry["extra_content"] = {"google": {"thought_signature": call.signature}}
    return entry | owned(call.extra)


def _inner(call: ToolCall) -> dict[str, str]:
    if call.custom:
        return {"name": call.name, "input": call.arguments}
    return {"name": call.name, "arguments": call.arguments or "{}"}
