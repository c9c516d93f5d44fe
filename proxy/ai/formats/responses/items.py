"""The items of a conversation, read from ``input`` or ``output`` into parts and messages.

Source: OpenAI's API reference, "Create a model response", ``input``, and "The response object",
``output``.

What a model did in one turn are several items here and one message in the middle form. Items of
tools that the provider runs, and of kinds that are not known, are ``Foreign``: the whole item. A
generated image is one too for this format, and an image for all others.
"""

from __future__ import annotations

from typing import Any, Literal

from proxy.ai.formats.fields import Fields, encode
from proxy.ai.formats.responses import content, thoughts
from proxy.ai.formats.responses.names import NAME, own
from proxy.ai.formats.responses.signatures import Signatures
from proxy.ai.middle import Foreign, Media, Message, Part, Text, ToolCall, ToolResult

Role = Literal["system", "developer", "user", "assistant"]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
}
_RESULTS = ("function_call_output", "custom_tool_call_output")


def read_input(body: Fields) -> list[Message]:
    """Takes ``instructions`` and ``input``, a string or an array of items."""
    messages: list[Message] = []
    instructions = body.text("instructions")
    if instructions:
        messages.append(Message("system", [Text(instructions)]))
    given = body.take("input")
    if type(given) is str:
        return [*messages, Message("user", [Text(given)])]
    if given is not None and type(given) is not list:
        raise body.wrong("input", "a string or an array")
    results: Message | None = None
    signatures = Signatures()
    for place, item in enumerate(given or []):
        fields = body.at(item, f"input[{place}]")
        kind = fields.text("type") or "message"
        if kind == "reasoning" and signatures.takes(item, messages):
            continue
        if kind in _RESULTS:
            if results is None:
                results = Message("user", [])
                messages.append(results)
            results.parts.append(_result(fields, kind))
            continue
        results = None
        role = _ROLES.get(fields.text("role"), "user") if kind == "message" else _role(item)
        if kind != "message" or role == "assistant":
            _append(messages, role, signatures.give(read_item(item, fields, kind)))
        else:
            messages.append(_message(fields, role))
    return messages


def _role(item: dict[str, Any]) -> Role:
    """Whose an item that is no message is: most are the model's."""
    said = item.get("role")
    if type(said) is str and said in _ROLES:
        return _ROLES[said]
    kind = item.get("type")
    answers = type(kind) is str and kind.endswith(("_output", "_response", "_reference"))
    return "user" if answers and kind != "tool_search_output" else "assistant"


def _append(messages: list[Message], role: Role, parts: list[Part]) -> None:
    """To what was said last, where it is of the same role."""
    if messages and messages[-1].role == role == "assistant":
        messages[-1].parts += parts
    else:
        messages.append(Message(role, parts))


def _message(fields: Fields, role: Role) -> Message:
    message = Message(role, content.read(fields))
    message.extra = own(fields.rest())
    return message


def _result(fields: Fields, kind: str) -> ToolResult:
    result = ToolResult(fields.text("call_id"), content.read(fields, "output"))
    rest = fields.rest()
    if kind != "function_call_output":
        rest["type"] = kind
    result.extra = own(rest)
    return result


def read_item(item: dict[str, Any], fields: Fields, kind: str) -> list[Part]:
    """What a model said or did. ``fields`` are those of ``item`` without its ``type``."""
    if kind == "message":
        return _said(fields)
    if kind == "reasoning":
        return [thoughts.read(item, fields)]
    if kind in ("function_call", "custom_tool_call"):
        return [_call(fields, custom=kind == "custom_tool_call")]
    if kind == "image_generation_call" and type(item.get("result")) is str:
        return [_image(item)]
    return [Foreign(NAME, item)]


def _said(fields: Fields) -> list[Part]:
    """The parts of an assistant's message. Each text knows the item that it was in."""
    parts = content.read(fields)
    fields.take("role")
    rest = fields.rest()
    if rest.get("status") == "completed":
        del rest["status"]
    if rest:
        for part in parts:
            if isinstance(part, Text):
                inner = part.extra[NAME] if part.extra else {}
                part.extra = own(inner | {"item": rest})
    return parts


def _call(fields: Fields, *, custom: bool) -> ToolCall:
    text = fields.take("input" if custom else "arguments")
    if type(text) is dict:
        text = encode(text).decode()
    if text is not None and type(text) is not str:
        raise fields.wrong("input" if custom else "arguments", "a string")
    name = fields.text("name")
    call = ToolCall(fields.text("call_id") or fields.text("id"), name, text or "", custom)
    if not custom and not call.arguments:
        call.arguments = "{}"
    rest = fields.rest()
    if rest.get("status") == "completed":
        del rest["status"]
    call.extra = own(rest)
    return call


def _image(item: dict[str, Any]) -> Media:
    rest = {k: v for k, v in item.items() if v is not None and k not in ("type", "result")}
    form = item.get("output_format")
    media_type = f"image/{form}" if type(form) is str else "image/png"
    return Media("image", media_type, data=item["result"], extra=own(rest))
