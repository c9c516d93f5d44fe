"""A request of Anthropic's Messages API, read. ``told`` writes one.

Source: Anthropic's API reference, Messages, and the types of its Python SDK, 2.14 (API versions
2023-06-01 and 2026-10-21; the latter has no temperature, top_p and top_k).
"""

from __future__ import annotations

from typing import Any, Literal

from proxy.ai.errors import InvalidJson
from proxy.ai.formats.fields import Fields, request_fields
from proxy.ai.formats.messages.blocks import content, needed
from proxy.ai.formats.messages.names import NAME, as_own
from proxy.ai.middle import Message, OutputFormat, Reasoning, Request, Tool, ToolChoice

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}
_CHOICES: dict[str, Literal["auto", "none", "required", "one"]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "one",
}


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> Request:
    """Raises InvalidJson, and InvalidRequest."""
    return read(body, model, stream, counting=False)


def read(body: bytes, model: str, stream: bool, *, counting: bool) -> Request:
    """``counting``: the tokens of the prompt are asked for, and no answer."""
    try:
        return _read(request_fields(body), model, stream, counting)
    except RecursionError as error:
        raise InvalidJson("it is nested too deeply") from error


def _read(fields: Fields, model: str, stream: bool, counting: bool) -> Request:
    named = fields.text("model")
    if not (model or named):
        raise fields.wrong("model", "a string")
    request = Request(
        format=NAME,
        model=model or named,
        messages=_messages(fields),
        stream=fields.flag("stream") is True or stream,
        max_tokens=fields.whole("max_tokens"),
    )
    if request.max_tokens is None and not counting:
        raise fields.wrong("max_tokens", "a whole number")
    extra: dict[str, Any] = {}
    _read_steering(fields, request, extra)
    _read_tools(fields, request, extra)
    _read_thinking(fields, request, extra)
    _read_output(fields, request, extra)
    request.extra = {**fields.rest(), **extra}
    return request


def _messages(fields: Fields) -> list[Message]:
    messages: list[Message] = []
    if fields.has("system"):
        messages.append(Message("system", content(fields, "system")))
    if not fields.has("messages"):
        raise fields.wrong("messages", "an array")
    return messages + [_message(one) for one in fields.each("messages")]


def _message(fields: Fields) -> Message:
    role = _ROLES.get(fields.text("role"))
    if role is None:
        raise fields.wrong("role", "user, assistant or system")
    if role != "system" and not fields.has("content"):
        raise fields.wrong("content", "a string or an array of content blocks")
    return Message(role, content(fields, "content"), extra=as_own(fields.rest()))


def _read_steering(fields: Fields, request: Request, extra: dict[str, Any]) -> None:
    request.temperature = fields.number("temperature")
    request.top_p = fields.number("top_p")
    request.top_k = fields.whole("top_k")
    request.stop = fields.texts("stop_sequences")
    request.service_tier = fields.text("service_tier")
    metadata = fields.inner("metadata")
    if metadata is not None:
        request.user = metadata.text("user_id")
        _keep(extra, "metadata", metadata.rest())


def _keep(extra: dict[str, Any], name: str, rest: dict[str, Any]) -> None:
    if rest:
        extra[name] = rest


def _read_tools(fields: Fields, request: Request, extra: dict[str, Any]) -> None:
    given = fields.items("tools")
    request.tools = [_tool(one, fields.at(one, f"tools[{i}]")) for i, one in enumerate(given)]
    choice = fields.inner("tool_choice")
    if choice is None:
        return
    kind = _CHOICES.get(choice.text("type"))
    if kind is None:
        raise choice.wrong("type", "auto, any, tool or none")
    request.tool_choice = ToolChoice(kind, needed(choice, "name") if kind == "one" else "")
    alone = choice.flag("disable_parallel_tool_use")
    request.parallel_tool_calls = None if alone is None else not alone
    _keep(extra, "tool_choice", choice.rest())


def _tool(value: dict[str, Any], fields: Fields) -> Tool:
    if fields.text("type") not in ("", "custom"):
        return Tool(fields.text("name"), format=NAME, foreign=value)
    return Tool(
        name=needed(fields, "name"),
        description=fields.text("description"),
        schema=fields.table("input_schema"),
        strict=fields.flag("strict"),
        cache=fields.table("cache_control"),
        extra=as_own(fields.rest()),
    )


def _read_thinking(fields: Fields, request: Request, extra: dict[str, Any]) -> None:
    thinking = fields.inner("thinking")
    if thinking is None:
        return
    reasoning = request.reasoning = Reasoning()
    kind = thinking.text("type")
    if kind == "enabled":
        reasoning.budget = thinking.whole("budget_tokens")
        if reasoning.budget is None:
            raise thinking.wrong("budget_tokens", "a whole number")
    reasoning.adaptive = kind == "adaptive"
    reasoning.on = kind not in ("disabled", "between_tools")
    rest = thinking.rest()
    if kind not in ("enabled", "adaptive", "disabled"):
        rest["type"] = kind
    if rest.get("display") == "summarized":
        reasoning.summary = "auto"
        del rest["display"]
    _keep(extra, "thinking", rest)


def _read_output(fields: Fields, request: Request, extra: dict[str, Any]) -> None:
    """``output_format`` is what ``output_config.format`` was called in its beta."""
    config = fields.inner("output_config")
    if config is None:
        request.output = _output(fields, "output_format", extra)
        return
    effort = config.text("effort")
    if effort:
        request.reasoning = request.reasoning or Reasoning()
        request.reasoning.effort = effort
    if config.has("format"):
        if fields.has("output_format"):
            raise fields.wrong("output_format", "left out beside output_config.format")
        own: dict[str, Any] = {}
        request.output = _output(config, "format", own)
        _keep(extra, "output_config", {**config.rest(), **own})
    else:
        _keep(extra, "output_config", config.rest())
        request.output = _output(fields, "output_format", extra)


def _output(fields: Fields, name: str, extra: dict[str, Any]) -> OutputFormat | None:
    """None, and ``extra``, where it is of a type that is not known."""
    given = fields.table(name)
    if given is None:
        return None
    inner = fields.at(given, name)
    if inner.text("type") != "json_schema":
        extra[name] = given
        return None
    schema = inner.table("schema")
    if schema is None:
        raise inner.wrong("schema", "an object")
    _keep(extra, name, inner.rest())
    return OutputFormat("schema", schema=schema)
