"""Messages, in both directions.

Source: OpenAI's API reference, chat completions, ``messages``; those of the providers named in
``content`` and ``thoughts``.

Results of tools are messages of their own here and parts of a user's message in the middle form:
those that follow each other are read into one message.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats import data_url
from proxy.ai.formats.chat import content, thoughts, tools
from proxy.ai.formats.chat.dialects import Telling
from proxy.ai.formats.chat.names import own, owned
from proxy.ai.formats.fields import Fields
from proxy.ai.middle import (
    Citation,
    Media,
    Message,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

_ROLES: dict[str, Any] = {"system": "system", "developer": "developer", "user": "user"}
_PLAIN: dict[str, Any] = {**_ROLES, "assistant": "assistant"}


def read(body: Fields) -> list[Message]:
    """Takes ``messages``."""
    if not body.has("messages"):
        raise body.wrong("messages", "an array")
    messages: list[Message] = []
    after_tool = False
    for place, given in enumerate(body.items("messages")):
        plain = _plain_one(given)
        if plain is not None:
            messages.append(plain)
            after_tool = False
            continue
        fields = body.at(given, f"messages[{place}]")
        role = fields.text("role")
        if role in ("tool", "function"):
            result = _result(fields, messages)
            if after_tool:
                messages[-1].parts.append(result)
            else:
                messages.append(Message("user", [result]))
            after_tool = True
            continue
        after_tool = False
        messages.append(_message(fields, role, f"call_{place}"))
    return messages


def _plain_one(given: Any) -> Message | None:
    """Most messages: a role and a text, and nothing else."""
    if type(given) is not dict or len(given) != 2:
        return None
    role, text = given.get("role"), given.get("content")
    if type(role) is not str or role not in _PLAIN or type(text) is not str or not text:
        return None
    return Message(_PLAIN[role], [Text(text)])


def _message(fields: Fields, role: str, made_id: str) -> Message:
    if role == "assistant":
        name = fields.text("name")
        parts, rest = said(fields, made_id)
        return Message("assistant", parts, name, own(rest))
    if not role:
        raise fields.wrong("role", "a string")
    message = Message(_ROLES.get(role, "user"), content.read(fields), fields.text("name"))
    rest = fields.rest()
    if role not in _ROLES:
        rest["role"] = role
    message.extra = own(rest)
    return message


def _result(fields: Fields, before: list[Message]) -> ToolResult:
    name, call_id = fields.text("name"), fields.text("tool_call_id")
    result = ToolResult(call_id or _called(name, before), content.read(fields), name)
    result.extra = own(fields.rest())
    return result


def _called(name: str, before: list[Message]) -> str:
    """The id of the last call of the tool, for results of the older kind, which name no call."""
    for message in reversed(before):
        for part in reversed(message.parts):
            if isinstance(part, ToolCall) and part.name == name:
                return part.id
    return ""


def said(fields: Fields, made_id: str) -> tuple[list[Part], dict[str, Any]]:
    """The parts of a message that a model said, in a request or in an answer, and what else the
    message holds."""
    parts = thoughts.read(fields)
    parts += content.read(fields)
    refusal = fields.text("refusal")
    if refusal:
        parts.append(Refusal(refusal))
    cited, uncited = citations(fields)
    text = next((part for part in parts if isinstance(part, Text)), None)
    if text is not None:
        text.citations = cited
    parts += _audio(fields)
    for place, image in enumerate(fields.items("images")):
        parts.append(content.read_entry(image, fields.at(image, f"images[{place}]")))
    calls, others = tools.read_calls(fields, made_id)
    fields.take("role")
    rest = fields.rest()
    if uncited:
        rest["annotations"] = uncited
    if others:
        rest["tool_calls"] = others
    return parts + calls, rest


def citations(fields: Fields) -> tuple[list[Citation], list[Any]]:
    """Takes ``annotations``: those that cite an address, and all others as they are."""
    cited: list[Citation] = []
    others: list[Any] = []
    for place, given in enumerate(fields.items("annotations")):
        annotation = fields.at(given, f"annotations[{place}]")
        kind = annotation.text("type")
        inner = annotation.inner("url_citation") if kind == "url_citation" else None
        if inner is None:
            others.append(given)
        else:
            cited.append(_citation(inner))
    return cited, others


def _citation(inner: Fields) -> Citation:
    start, end = inner.whole("start_index"), inner.whole("end_index")
    return Citation(
        inner.text("url"),
        inner.text("title"),
        inner.text("content"),
        start if start or end else None,
        end if start or end else None,
    )


def annotation(citation: Citation) -> dict[str, Any]:
    inner: dict[str, Any] = {
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
    if citation.quote:
        inner["content"] = citation.quote
    return {"type": "url_citation", "url_citation": inner}


def _audio(fields: Fields) -> list[Part]:
    given = fields.inner("audio")
    if given is None:
        return []
    data, kept, transcript = given.text("data"), given.text("id"), given.text("transcript")
    if not data:
        return [Media("audio", id=kept, transcript=transcript)] if kept or transcript else []
    more = given.rest() | ({"id": kept} if kept else {})
    sound = Media("audio", data=data_url.unbroken(data), transcript=transcript, extra=own(more))
    return [sound]


def write(request: Request, telling: Telling) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "assistant":
            written.append(_assistant(message, telling))
        elif message.role == "user":
            written += _user(message, telling)
        else:
            role = message.role if telling.dialect.developer else "system"
            written.append(_plain(role, message, message.parts, telling))
    return written


def _plain(role: str, message: Message, parts: list[Part], telling: Telling) -> dict[str, Any]:
    written = {"role": role, "content": content.write(parts, telling)}
    if message.name:
        written["name"] = message.name
    return written | owned(message.extra)


def _assistant(message: Message, telling: Telling) -> dict[str, Any]:
    parts = message.parts
    written: dict[str, Any] = {"role": "assistant", "content": None}
    if message.name:
        written["name"] = message.name
    written |= thoughts.write(parts, telling)
    written |= tools.write_calls(
        parts, telling.former, signed=telling.own or telling.dialect.call_signatures
    )
    sounds = [part for part in parts if isinstance(part, Media) and part.kind == "audio"]
    kept = next((sound.id for sound in sounds if sound.id), "")
    if kept:
        written["audio"] = {"id": kept}
    shown = [part for part in parts if _belongs_to_content(part, telling)]
    for part in parts:
        if isinstance(part, Media) and part.transcript and not kept:
            telling.notes.maps("audio", "text")
            shown.append(Text(part.transcript))
        elif isinstance(part, Media) and not part.id:
            telling.notes.lacks(f"assistant.{part.kind}")
    if shown or not ("tool_calls" in written or "function_call" in written or kept):
        written["content"] = content.write(shown, telling)
    return merged(written, owned(message.extra))


def merged(message: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """With more fields: entries of lists are added, those of objects put in."""
    for name, value in more.items():
        held = message.get(name)
        if isinstance(held, dict) and isinstance(value, dict):
            message[name] = held | value
        elif isinstance(held, list) and isinstance(value, list):
            message[name] = held + value
        else:
            message[name] = value
    return message


def _belongs_to_content(part: Part, telling: Telling) -> bool:
    if isinstance(part, Thinking):
        return telling.dialect.thoughts == "content"
    return not isinstance(part, ToolCall | Media)


def _user(message: Message, telling: Telling) -> list[dict[str, Any]]:
    """Results of tools come first: they must follow the calls. What they cannot hold follows."""
    written: list[dict[str, Any]] = []
    rest: list[Part] = []
    moved: list[Part] = []
    for part in message.parts:
        if not isinstance(part, ToolResult):
            rest.append(part)
            continue
        parts = part.parts
        if not (telling.own or telling.dialect.tool_media):
            moved += _moved(part, telling)
            parts = [inner for inner in parts if not isinstance(inner, Media) or inner.text]
        written.append(_result_written(part, parts, telling))
    if rest or moved or not written:
        written.append(_plain("user", message, moved + rest, telling))
    return written


def _moved(result: ToolResult, telling: Telling) -> list[Part]:
    """Media of a result, which only a user's message can hold, and whose they are."""
    media: list[Part] = [part for part in result.parts if isinstance(part, Media) and not part.text]
    if not media:
        return []
    telling.notes.maps("tool_result.media", "user_message")
    return [Text(f"Files returned by the tool call {result.call_id}:"), *media]


def _result_written(
    result: ToolResult,
    parts: list[Part],
    telling: Telling,
) -> dict[str, Any]:
    if result.failed:
        telling.notes.lacks("tool_result.is_error")
    if result.cache:
        telling.notes.lacks("tool_result.cache_control")
    written: dict[str, Any] = {"role": "tool", "content": content.write(parts, telling)}
    if telling.former:
        written["role"] = "function"
    elif result.call_id:
        written["tool_call_id"] = result.call_id
    if result.name and (telling.own or telling.former):
        written["name"] = result.name
    return written | owned(result.extra)
