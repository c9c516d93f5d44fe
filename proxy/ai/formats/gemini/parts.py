"""Parts of a content, read and written."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from proxy.ai.errors import ParameterUnsupported
from proxy.ai.formats import data_url, seals
from proxy.ai.formats.fields import Fields, encode
from proxy.ai.formats.gemini.names import ELSEWHERE, FORMAT, MADE, SEALED, camelled, inner, own
from proxy.ai.middle import (
    Foreign,
    Media,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from proxy.ai.middle.rules import Notes

Told = dict[str, Any]

SKIP = "skip_thought_signature_validator"
"""What Google takes for the signature of a tool call that another model made."""


def media_kind(media_type: str) -> Any:
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "file"


def read(fields: Fields, call_id: str) -> Part | None:
    """None for a part that says nothing. ``call_id`` is that of a tool call without one."""
    signature = fields.text("thoughtSignature")
    thought = fields.flag("thought") or False
    if fields.has("functionCall"):
        return _call(fields, signature, call_id)
    if fields.has("functionResponse"):
        return _result(fields, call_id)
    for name in ("inlineData", "fileData"):
        if fields.has(name):
            return _media(fields, name, signature)
    said, text = fields.has("text"), fields.text("text")
    rest = fields.rest()
    if rest:
        kept = rest | ({"text": text} if text else {})
        return Foreign(FORMAT, kept | ({"thoughtSignature": signature} if signature else {}))
    if thought:
        return _thought(text, signature)
    if not said and not signature:
        return None
    return Text(text, extra={FORMAT: {"thoughtSignature": signature}} if signature else None)


def _thought(text: str, signature: str) -> Thinking:
    if not signature.startswith(ELSEWHERE):
        return Thinking(text, seals.marked(FORMAT, signature) if signature else "")
    seal = signature.removeprefix(ELSEWHERE)
    if seal.startswith(SEALED):
        sealed, extra = seals.given_back(seal.removeprefix(SEALED))
        return Thinking(text, sealed=sealed, extra=extra)
    seal, extra = seals.given_back(seal)
    return Thinking(text, seal, extra=extra)


def is_others(part: Part) -> bool:
    """A thought that a provider of another format signed or sealed: Gemini seals none."""
    if not isinstance(part, Thinking):
        return False
    return bool(part.sealed or (part.signature and not seals.unmarked(FORMAT, part.signature)))


def _call(fields: Fields, signature: str, call_id: str) -> ToolCall:
    call = inner(fields, "functionCall")
    assert call is not None
    arguments = call.take("args")
    known = call.text("id") or call_id
    return ToolCall(
        id=known,
        name=call.text("name"),
        arguments="{}" if arguments is None else encode(arguments).decode(),
        signature=signature,
        extra=own(call.rest()),
    )


def _result(fields: Fields, call_id: str) -> ToolResult:
    result = inner(fields, "functionResponse")
    assert result is not None
    response = result.take("response")
    parts: list[Part] = []
    kept: dict[str, Any] = {}
    texts = _texts(response)
    if texts is not None:
        parts = [Text(text) for text in texts]
    elif response is not None:
        parts = [Text(encode(response).decode())]
        kept = {"response": response}
    for more in result.items("parts"):
        part = read(result.at(camelled(more), "parts"), call_id)
        if isinstance(part, Media | Text):
            parts.append(part)
    failed = type(response) is dict and "error" in response
    known, name = result.text("id") or call_id, result.text("name")
    extra = own(result.rest() | kept)
    return ToolResult(known, parts, name, failed, extra=extra)


def _texts(response: Any) -> list[str] | None:
    """Of a response that says no more than we would write ourselves."""
    if type(response) is not dict or len(response) != 1:
        return None
    said = response.get("result", response.get("error"))
    texts = said if type(said) is list else [said]
    return [str(text) for text in texts] if all(type(one) is str for one in texts) else None


def _media(fields: Fields, name: str, signature: str) -> Media:
    blob = inner(fields, name)
    assert blob is not None
    media_type = blob.text("mimeType")
    media = Media(media_kind(media_type), media_type, name=blob.text("displayName"))
    if name == "inlineData":
        media.data = data_url.unbroken(blob.text("data")).replace("-", "+").replace("_", "/")
    else:
        media.url = blob.text("fileUri")
    rest = fields.rest() | ({"thoughtSignature": signature} if signature else {})
    media.extra = own(rest | ({name: blob.rest()} if blob.rest() else {}))
    return media


# Written


def _owned(part: Part) -> dict[str, Any]:
    extra = None if isinstance(part, Refusal | Foreign) else part.extra
    found: dict[str, Any] = (extra or {}).get(FORMAT, {})
    return found


def write(part: Part, notes: Notes, names: dict[str, str], *, sign: bool = False) -> Told | None:
    """None where the part cannot be said; ``notes`` are told. ``names``: of tools by the id of a
    call. ``sign``: calls without a signature are given the one that Google overlooks."""
    if isinstance(part, Text):
        return {"text": part.text, **_owned(part)}
    if isinstance(part, ToolCall):
        return _written_call(part, sign)
    if isinstance(part, ToolResult):
        return _written_result(part, notes, names)
    if isinstance(part, Media):
        return _written_media(part, notes)
    if isinstance(part, Thinking):
        return _written_thought(part, notes)
    if isinstance(part, Refusal):
        return {"text": part.text}
    if part.format == FORMAT:
        return part.value
    notes.lacks(f"{part.format} content")
    return None


def _written_call(part: ToolCall, sign: bool) -> dict[str, Any]:
    call: dict[str, Any] = {"name": part.name, "args": arguments(part)}
    if part.id and not part.id.startswith(MADE):
        call["id"] = part.id
    call |= _owned(part)
    written: dict[str, Any] = {"functionCall": call}
    if part.signature or sign:
        written["thoughtSignature"] = part.signature or SKIP
    return written


def arguments(part: ToolCall) -> Any:
    """Gemini's arguments are an object; text that is none becomes its only field."""
    if part.custom:
        return {"input": part.arguments}
    try:
        given = msgspec.json.decode(part.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        given = None
    return given if type(given) is dict else {"input": part.arguments}


def _written_result(part: ToolResult, notes: Notes, names: dict[str, str]) -> dict[str, Any]:
    more = dict(_owned(part))
    texts = [piece.text for piece in part.parts if isinstance(piece, Text)]
    said_text: Any = texts[0] if len(texts) == 1 else texts
    response = more.pop("response", None)
    if response is None:
        response = {"error" if part.failed else "result": said_text}
    said: dict[str, Any] = {"name": part.name or names.get(part.call_id, ""), "response": response}
    if part.call_id and not part.call_id.startswith(MADE):
        said["id"] = part.call_id
    media = [_written_media(piece, notes) for piece in part.parts if isinstance(piece, Media)]
    shown = [piece for piece in media if piece is not None]
    if shown:
        said["parts"] = shown
    return {"functionResponse": said | more}


def _written_media(part: Media, notes: Notes) -> dict[str, Any] | None:
    more = dict(_owned(part))
    if part.text or part.data:
        media_type = part.media_type or ("text/plain" if part.text else _usual(part))
        data = part.data or b64encode(part.text.encode()).decode()
        return {"inlineData": _with({"mimeType": media_type, "data": data}, more), **more}
    address = part.url or (part.id if part.id.startswith(("https://", "gs://", "files/")) else "")
    if not address:
        raise ParameterUnsupported("a file of another provider's", notes.where)
    where: dict[str, Any] = {"fileUri": address}
    media_type = part.media_type or data_url.guessed(address.partition("?")[0], "")
    if media_type:
        where["mimeType"] = media_type
    return {"fileData": _with(where, more), **more}


def _with(blob: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """With what only this format says of the blob, which is taken out of ``more``."""
    own = more.pop("inlineData", None) or more.pop("fileData", None)
    return blob | own if type(own) is dict else blob


def _usual(part: Media) -> str:
    kinds = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}
    return kinds.get(part.kind) or data_url.guessed(part.name, "application/pdf")


def _written_thought(part: Thinking, notes: Notes) -> dict[str, Any] | None:
    """Another provider's signature is left out: Gemini would refuse it."""
    ours = seals.unmarked(FORMAT, part.signature)
    if not part.text or (part.sealed and not part.signature):
        # Sealed by another provider, or nothing to read: Gemini has its own ways.
        if part.sealed:
            notes.lacks("reasoning")
        return {"thoughtSignature": ours, "text": ""} if ours else None
    written: dict[str, Any] = {"text": part.text, "thought": True}
    if ours:
        written["thoughtSignature"] = ours
    return written


def for_client(part: Part, notes: Notes) -> list[Told]:
    """Of an answer. What another provider signed or sealed is the client's to keep."""
    if isinstance(part, Thinking) and is_others(part):
        told = sealed(part)
        if part.text or part.signature:
            told.append({"text": part.text, "thought": True})
        if part.signature:
            told[-1]["thoughtSignature"] = kept(part)
        return told
    written = write(part, notes, {})
    return [] if written is None else [written]


def sealed(thought: Thinking) -> list[Told]:
    """A part without a text, for what is sealed in a thought, if anything is."""
    if not thought.sealed:
        return []
    seal = ELSEWHERE + SEALED + seals.kept(thought.sealed, thought.extra)
    return [{"text": "", "thought": True, "thoughtSignature": seal}]


def kept(thought: Thinking) -> str:
    """A thought's signature as a client of this format has it: with a mark unless it is Gemini's.
    Google's SDKs read it as base64."""
    ours = seals.unmarked(FORMAT, thought.signature)
    return ours or ELSEWHERE + seals.kept(thought.signature, thought.extra)
