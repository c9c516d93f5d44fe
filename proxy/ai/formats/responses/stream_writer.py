"""Streamed responses, written for clients.

Source: OpenAI's API reference, "Streaming events". All events are numbered. A response is told when
it begins and, with all that was answered, when it ends: the writer keeps what it has written.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats import sse
from proxy.ai.formats.fields import encode
from proxy.ai.formats.responses import (
    answer,
    content,
    faults,
    signatures,
    spellings,
    thoughts,
    told,
    usage,
)
from proxy.ai.formats.responses.names import NAME
from proxy.ai.middle import (
    Begin,
    Counted,
    Event,
    Failed,
    Finish,
    Media,
    Other,
    Part,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from proxy.ai.middle.events import merged, signed


class _Open:
    """A part that grows."""

    __slots__ = ("begun", "entry", "head", "index", "item", "part", "pieces", "place", "spelling")

    def __init__(self, part: Part, index: int, item: dict[str, Any]) -> None:
        self.part = part
        self.spelling = spellings.of(part)
        self.index = index
        """Of the item in the output."""
        self.item = item
        self.entry: dict[str, Any] = {}
        """What grows within the item, where it does not fill it."""
        self.place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
        """Where it is, in each of its events."""
        self.head = b""
        """The same as JSON, without its end."""
        self.begun = False
        self.pieces: list[str] = []

    def settle(self, number: int | None = None) -> None:
        """``number`` is the entry's within the item."""
        if number is not None:
            self.place[self.spelling.index] = number
        self.head = encode(self.place)[:-1]


class Writer:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._number = 0
        self._response: dict[str, Any] = {}
        self._output: list[dict[str, Any]] = []
        self._message: tuple[int, dict[str, Any]] | None = None
        """The message to which texts are added now."""
        self._open: dict[int, _Open] = {}
        self._added: dict[str, int] = {}
        """Items of which only this format knows, by id, that were said to have begun."""
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._failed = False

    def write(self, events: list[Event]) -> bytes:
        return b"".join(
            [
                self._write(signed(event, events) if type(event) is PartBegin else event)
                for event in events
            ]
        )

    def end(self) -> bytes:
        if self._failed:
            return b""
        written = self._begin(Begin()) + self._close_message()
        body = {**self._response, "output": self._output} | answer.ended(self._finish)
        if self._usage is not None:
            body["usage"] = usage.write(self._usage)
        kind = "incomplete" if body["status"] == "incomplete" else "completed"
        if body["status"] == "failed":
            kind = "failed"
        return written + self._event(f"response.{kind}", {"response": body})

    def _write(self, event: Event) -> bytes:
        if isinstance(event, PartDelta):
            return self._grown(event) if event.choice == 0 else b""
        if isinstance(event, Begin):
            return self._begin(event)
        if isinstance(event, Counted):
            self._usage = merged(self._usage, event.usage)
        elif isinstance(event, Failed):
            self._failed = True
            return faults.stream_fault(event.fault, self._number)
        elif isinstance(event, Other):
            return self._other(event) if event.format == NAME else b""
        elif event.choice != 0:
            return b""
        elif isinstance(event, PartBegin):
            return self._part_begun(event)
        elif isinstance(event, PartEnd):
            return self._part_ended(event)
        elif isinstance(event, PartSigned):
            return self._signed(event)
        elif isinstance(event, PartCited):
            return self._cited(event)
        else:
            self._finish = event.finish
            return self._close_message()
        return b""

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        body = {"type": kind, "sequence_number": self._number} | fields
        self._number += 1
        return sse.event(encode(body), kind.encode())

    def _begin(self, event: Begin) -> bytes:
        if self._response:
            return b""
        self._response = answer.response(event.id, event.created, event.model, self._request)
        begun = {"response": self._response}
        return self._event("response.created", begun) + self._event("response.in_progress", begun)

    def _part_begun(self, event: PartBegin) -> bytes:
        written = self._begin(Begin())
        part = event.value
        if isinstance(part, Text | Refusal):
            return written + self._text_begun(event.part, part)
        written += self._close_message()
        if isinstance(part, ToolCall | Thinking):
            return written + self._growing_begun(event.part, part)
        return written + self._whole(part)

    def _add(self, item: dict[str, Any], shown: dict[str, Any]) -> tuple[int, bytes]:
        """``item`` is put into the output; ``shown`` is how it looks when it begins."""
        index = len(self._output)
        self._output.append(item)
        added = {"output_index": index, "item": shown}
        return index, self._event("response.output_item.added", added)

    def _done(self, index: int) -> bytes:
        done = {"output_index": index, "item": self._output[index]}
        return self._event("response.output_item.done", done)

    def _made_id(self, part: Part) -> str:
        return answer.make_id(self._response["id"], part, len(self._output))

    def _text_begun(self, number: int, part: Text | Refusal) -> bytes:
        written = b""
        items = [self._message[1]] if self._message else []
        if told.join(items, part):
            written += self._close_message()
            item = {"id": self._made_id(part), "status": "completed"} | items[-1]
            index, added = self._add(item, item | {"status": "in_progress", "content": []})
            self._message = index, item
            written += added
        assert self._message is not None
        index, item = self._message
        opened = self._open[number] = _Open(part, index, item)
        opened.entry = item["content"][-1]
        opened.settle(len(item["content"]) - 1)
        first, opened.entry[opened.spelling.told_in] = part.text, ""
        return written + self._entry_begun(opened) + self._first(number, first)

    def _entry_begun(self, opened: _Open) -> bytes:
        opened.begun = True
        begun = opened.place | {"part": opened.entry}
        return self._event(f"{opened.spelling.within}.added", begun)

    def _first(self, number: int, text: str) -> bytes:
        """What a part had to say when it began: mostly nothing."""
        return self._grown(PartDelta(0, number, text)) if text else b""

    def _close_message(self) -> bytes:
        if self._message is None:
            return b""
        index, _ = self._message
        self._message = None
        return self._done(index)

    def _growing_begun(self, number: int, part: ToolCall | Thinking) -> bytes:
        signature = b""
        if isinstance(part, ToolCall) and part.signature:
            signature = self._call_signed(part.id, part.signature)
        made = self._made_id(part)
        if isinstance(part, ToolCall):
            item = {"id": made, "status": "completed"} | told.call(part)
            first, empty = part.arguments, {"input" if part.custom else "arguments": ""}
            shown = item | {"status": "in_progress"} | empty
        else:
            item, first = thoughts.write(part, made), part.text
            shown = {k: v for k, v in item.items() if k not in ("encrypted_content", "content")}
            shown["summary"] = []
        index, added = self._add(item, shown)
        opened = self._open[number] = _Open(part, index, item)
        opened.settle(0 if isinstance(part, Thinking) else None)
        return signature + added + self._first(number, first)

    def _call_signed(self, call_id: str, signature: str) -> bytes:
        """An item of its own: that of a call has no place for it."""
        item = signatures.item(call_id, signature, self._made_id(Thinking()))
        shown = {name: value for name, value in item.items() if name != "encrypted_content"}
        index, added = self._add(item, shown)
        return added + self._done(index)

    def _whole(self, part: Part) -> bytes:
        """An item that comes in one piece."""
        item = answer.output_item(part, self._made_id(part))
        if item is None:
            if isinstance(part, Media) and part.transcript:
                return self._spoken(part)
            return b""
        item_id = item.get("id")
        index = self._added.get(item_id) if type(item_id) is str else None
        if index is not None:
            self._output[index] = item
            return self._done(index)
        shown = item | {"status": "in_progress"} if "status" in item else item
        if isinstance(part, Media):
            shown = shown | {"result": None}
        index, added = self._add(item, shown)
        return added + self._done(index)

    def _spoken(self, sound: Media) -> bytes:
        """What is said in a sound, as a text of its own."""
        number = -1
        written = self._text_begun(number, Text(sound.transcript))
        return written + self._part_ended(PartEnd(0, number))

    def _grown(self, event: PartDelta) -> bytes:
        opened = self._open.get(event.part)
        if opened is None:
            return b""
        spelling, more, before = opened.spelling, opened.spelling.more, b""
        opened.pieces.append(event.text)
        if event.logprobs and spelling is spellings.TEXT:
            found = [answer.logprob(entry) for entry in event.logprobs]
            opened.entry["logprobs"] = opened.entry.get("logprobs", []) + found
            more = b',"logprobs":' + encode(found)
        elif not opened.begun and isinstance(opened.part, Thinking):
            opened.entry = spelling.begun("")
            before = self._entry_begun(opened)
        kind = spelling.grows.encode() + b".delta"
        number = self._number
        self._number += 1
        return b'%bevent: %b\ndata: %b,"type":"%b","sequence_number":%d,"delta":%b%b}\n\n' % (
            before,
            kind,
            opened.head,
            kind,
            number,
            encode(event.text),
            more,
        )

    def _signed(self, event: PartSigned) -> bytes:
        opened = self._open.get(event.part)
        part = opened.part if opened is not None else None
        if opened is not None and isinstance(part, Thinking):
            whole = Thinking("", event.signature, part.sealed, part.id, part.extra)
            opened.item["encrypted_content"] = thoughts.encrypted(whole)[1]
        elif isinstance(part, ToolCall) and not part.signature:
            return self._call_signed(part.id, event.signature)
        return b""

    def _cited(self, event: PartCited) -> bytes:
        opened = self._open.get(event.part)
        entry = content.annotation(event.citation)
        if opened is None or entry is None or "annotations" not in opened.entry:
            return b""
        place = len(opened.entry["annotations"])
        opened.entry["annotations"].append(entry)
        fields = opened.place | {"annotation_index": place, "annotation": entry}
        return self._event("response.output_text.annotation.added", fields)

    def _part_ended(self, event: PartEnd) -> bytes:
        opened = self._open.pop(event.part, None)
        if opened is None:
            return b""
        spelling, text = opened.spelling, "".join(opened.pieces)
        if isinstance(opened.part, ToolCall):
            text = text or ("" if opened.part.custom else "{}")
            opened.item[spelling.told_in] = text
        elif isinstance(opened.part, Thinking):
            if not opened.begun:
                return self._done(opened.index)
            opened.entry = spelling.begun(text)
            opened.item["content" if spelling is spellings.CONTENT else "summary"] = [opened.entry]
        else:
            opened.entry[spelling.told_in] = text
        return self._told(opened, text)

    def _told(self, opened: _Open, text: str) -> bytes:
        """The events that end a part, and its item unless that is a message."""
        spelling = opened.spelling
        fields = opened.place | {spelling.told_in: text}
        if spelling is spellings.TEXT:
            fields["logprobs"] = opened.entry.get("logprobs", [])
        elif spelling is spellings.ARGUMENTS:
            fields["name"] = opened.item["name"]
        written = self._event(f"{spelling.grows}.done", fields)
        if spelling.within:
            done = opened.place | {"part": opened.entry}
            written += self._event(f"{spelling.within}.done", done)
        if isinstance(opened.part, Text | Refusal):
            return written
        return written + self._done(opened.index)

    def _other(self, event: Other) -> bytes:
        """What only this format says: more of the response itself, or an event of its own."""
        value = event.value
        if "response" in value and "type" not in value:
            self._response |= value["response"]
            return b""
        kind = value.get("type")
        if type(kind) is not str or not kind.replace("_", "").replace(".", "").isalnum():
            return b""
        if kind == "response.output_item.added":
            item = value.get("item", {})
            written = self._close_message()
            index, added = self._add(item, item)
            self._added[str(item.get("id"))] = index
            return written + added
        fields = {k: v for k, v in value.items() if k != "type"}
        index_ = self._added.get(str(value.get("item_id")))
        if index_ is not None:
            fields["output_index"] = index_
        return self._event(kind, fields)
