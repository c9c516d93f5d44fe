"""Tools and the choice among them.

Source: OpenAI's API reference, "Create a model response", ``tools`` and ``tool_choice``. Functions
are strict here unless they say otherwise; in other formats it is the other way round.
"""

from __future__ import annotations

from typing import Any, Literal

from proxy.ai.formats.fields import Fields
from proxy.ai.formats.responses.names import NAME, own, owned
from proxy.ai.middle import Request, Tool, ToolChoice
from proxy.ai.middle.rules import Notes

_CHOICES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
}


def read(body: Fields) -> list[Tool]:
    """Takes ``tools``."""
    return [
        _tool(given, body.at(given, f"tools[{place}]"))
        for place, given in enumerate(body.items("tools"))
    ]


def _tool(given: dict[str, Any], fields: Fields) -> Tool:
    kind = fields.text("type")
    if kind not in ("function", "custom"):
        return Tool(fields.text("name") or kind, format=NAME, foreign=given)
    name = fields.text("name")
    if not name:
        raise fields.wrong("name", "a string")
    tool = Tool(name, fields.text("description"))
    if kind == "custom":
        tool.custom = _grammar(fields)
    else:
        tool.schema, tool.strict = fields.table("parameters"), fields.flag("strict")
    tool.extra = own(fields.rest())
    return tool


def _grammar(fields: Fields) -> dict[str, Any]:
    form = fields.inner("format")
    if form is None or form.text("type") != "grammar":
        return {}
    return form.rest()


def read_choice(body: Fields, extra: dict[str, Any]) -> ToolChoice | None:
    """Takes ``tool_choice``. What can only be said roughly is also kept."""
    given = body.take("tool_choice")
    if given is None:
        return None
    if type(given) is str:
        known = _CHOICES.get(given)
        if known is None:
            extra["tool_choice"] = given
        return ToolChoice(known) if known else None
    fields = body.at(given, "tool_choice")
    kind, name = fields.text("type"), fields.text("name")
    if kind in ("function", "custom") and name:
        return ToolChoice("one", name)
    extra["tool_choice"] = given
    if kind == "allowed_tools":
        return ToolChoice("required" if fields.text("mode") == "required" else "auto")
    return None


def write(request: Request, notes: Notes) -> dict[str, Any]:
    own_format = request.format == NAME
    entries = []
    for tool in request.tools:
        if tool.foreign is not None and tool.format != NAME:
            notes.lacks(f"tools.{tool.name or 'foreign'}", "refuse")
            continue
        if tool.cache:
            notes.lacks("tools.cache_control")
        entries.append(written(tool, own_format))
    body: dict[str, Any] = {"tools": entries} if entries else {}
    if request.tool_choice is not None and (entries or own_format):
        body["tool_choice"] = choice_written(request.tool_choice, request)
    if request.parallel_tool_calls is not None and (entries or own_format):
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def written(tool: Tool, own_format: bool) -> dict[str, Any]:
    if tool.foreign is not None:
        return tool.foreign
    entry: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        entry["description"] = tool.description
    if tool.custom is not None:
        entry["type"] = "custom"
        if tool.custom:
            entry["format"] = {"type": "grammar"} | tool.custom
    else:
        nothing = None if own_format else {"type": "object", "properties": {}}
        entry["parameters"] = nothing if tool.schema is None else tool.schema
        strict = None if own_format else False
        entry["strict"] = strict if tool.strict is None else tool.strict
    return entry | owned(tool.extra)


def choice_written(choice: ToolChoice, request: Request) -> Any:
    if choice.kind != "one":
        return choice.kind
    custom = any(tool.custom is not None for tool in request.tools if tool.name == choice.name)
    return {"type": "custom" if custom else "function", "name": choice.name}
