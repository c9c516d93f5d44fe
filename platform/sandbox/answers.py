"""What a chat request is, and what the sandbox answers to it, before it takes a wire form."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sandbox import shapes, skills
from sandbox.skills import tokens
from sandbox.web import Refused

_ARGUMENT = re.compile(r"\b([A-Za-z_]\w*)=(\"[^\"]*\"|[^\s,;]+)")


class FunctionCall(Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class ToolCall(Struct, frozen=True):
    function: FunctionCall = FunctionCall()


class Message(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] = []

    @property
    def text(self) -> str:
        """Its text parts; images and sound count for nothing here."""
        if isinstance(self.content, list):
            return "\n".join(str(part["text"]) for part in self.content if part.get("text"))
        return self.content or ""


class Function(Struct):
    name: str
    parameters: dict[str, Any] = {}


class Tool(Struct):
    type: str
    function: Function | None = None


class StreamOptions(Struct):
    include_usage: bool = False


class ChatRequest(Struct):
    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None


class Answer(Struct):
    """What every choice says, before it is put in either wire form."""

    id: str
    model: str
    text: str
    calls: list[dict[str, Any]]
    finish: str
    choices: int
    usage: dict[str, Any]


_encoder = msgspec.json.Encoder()


def decide(chat: ChatRequest, text: str, body: bytes) -> Answer:
    """``text`` is the last user message without directives; ``body`` only gives the id."""
    calls = _calls(chat, text)
    said = "" if calls else _say(chat, text)
    limit = chat.max_completion_tokens or chat.max_tokens
    finish = "tool_calls" if calls else "stop"
    if limit is not None and tokens(said) > limit:
        said, finish = said[: 4 * max(limit, 1)], "length"
    choices = chat.n or 1
    spoken = (
        [said] if not calls else [c["function"]["name"] + c["function"]["arguments"] for c in calls]
    )
    input_tokens = sum(_message_tokens(message) for message in chat.messages)
    output_tokens = choices * sum(map(tokens, spoken))
    return Answer(
        id=f"chatcmpl-sandbox-{sha256(body).hexdigest()[:24]}",
        model=chat.model,
        text=said,
        calls=calls,
        finish=finish,
        choices=choices,
        usage={
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    )


def _message_tokens(message: Message) -> int:
    calls = (call.function for call in message.tool_calls)
    return tokens(message.text) + sum(tokens(call.name + call.arguments) for call in calls)


def _calls(chat: ChatRequest, text: str) -> list[dict[str, Any]]:
    """A call for each tool that the choice forces or that the text asks for by ``call <name>``."""
    functions = [tool.function for tool in chat.tools or () if tool.function]
    if not functions or chat.tool_choice == "none" or chat.messages[-1].role != "user":
        return []
    if isinstance(chat.tool_choice, dict):
        name = (chat.tool_choice.get("function") or {}).get("name")
        chosen = [function for function in functions if function.name == name]
        if not chosen:
            raise Refused(400, "invalid_request", f"There is no tool {name}.", param="tool_choice")
    else:
        chosen = [f for f in functions if re.search(rf"\bcall {re.escape(f.name)}\b", text)]
        if not chosen and chat.tool_choice == "required":
            chosen = functions[:1]
    hints = {name: _scalar(value) for name, value in _ARGUMENT.findall(text)}
    return [
        {
            "id": f"call_sandbox_{position}",
            "type": "function",
            "function": {
                "name": function.name,
                "arguments": _encoder.encode(
                    shapes.fill({"type": "object"} | function.parameters, hints)
                ).decode(),
            },
        }
        for position, function in enumerate(chosen)
    ]


def _scalar(value: str) -> Any:
    """``3`` as a number, ``true`` as a boolean, all else as text."""
    try:
        found = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
    return found if isinstance(found, str | int | float | bool) else value


def _say(chat: ChatRequest, text: str) -> str:
    last = chat.messages[-1]
    if last.role == "tool":
        text = f"The tool answered: {last.text}"
    instructions = "\n".join(m.text for m in chat.messages if m.role in ("system", "developer"))
    reply = skills.reply(instructions, text)
    wanted = chat.response_format or {}
    if wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema")
        if not isinstance(schema, dict):
            message = "json_schema must hold a schema."
            raise Refused(400, "invalid_request", message, param="response_format")
        return _encoder.encode(shapes.fill(schema, reply.hints, reply.text)).decode()
    if wanted.get("type") == "json_object":
        return _encoder.encode(reply.value).decode()
    return reply.text
