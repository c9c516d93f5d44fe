"""A request to a model that generates."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from proxy.ai.middle.parts import Part


class Message(Struct):
    """``developer`` is a system message of lesser rank; formats that know none say ``system``."""

    role: Literal["system", "developer", "user", "assistant"]
    parts: list[Part]
    name: str = ""
    extra: dict[str, Any] | None = None


class Tool(Struct):
    """A function of the client's. ``schema`` is the JSON Schema of its arguments.

    What a provider runs itself (web search, code, computers) is ``foreign``: the whole entry in the
    words of the format named, and none of the other fields but ``name``.
    """

    name: str
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache: dict[str, Any] | None = None
    custom: dict[str, Any] | None = None
    """Of a tool whose input is text and not JSON, and which has no ``schema``: empty where any text
    will do, else ``{"syntax", "definition"}`` of the grammar that the text must fit."""
    format: str = ""
    foreign: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


class ToolChoice(Struct):
    """``one`` names the tool that must be called."""

    kind: Literal["auto", "none", "required", "one"]
    name: str = ""


class OutputFormat(Struct):
    """``json``: any JSON object; ``schema``: JSON that fits ``schema``."""

    kind: Literal["text", "json", "schema"]
    name: str = ""
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Reasoning(Struct):
    """How much the model may think first: by ``effort``, by ``budget`` in tokens, or neither.

    ``on`` False: not at all. ``effort``: none, minimal, low, medium, high, xhigh, max.
    """

    on: bool = True
    effort: str = ""
    budget: int | None = None
    summary: str = ""
    """``auto``, ``concise``, ``detailed``: the client wants to read a summary of it."""
    adaptive: bool = False
    """The client says that the model itself decides whether and how much to think."""


class Request(Struct, kw_only=True):
    """None and empty: the client did not say, and the provider's default holds.

    The names of the parameters are those by which rules (``proxy.ai.middle.rules``), notices and
    documentation speak of them.
    """

    format: str
    """The format that it was read from."""
    model: str
    messages: list[Message]
    stream: bool = False
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    """Of the answer, with what is thought."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = field(default_factory=list)
    n: int | None = None
    """Answers to choose from."""
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    modalities: list[str] = field(default_factory=list)
    """``text``, ``audio``, ``image``: what the answer may be made of."""
    audio: dict[str, Any] | None = None
    """``voice`` and ``format`` of a spoken answer."""
    verbosity: str = ""
    user: str = ""
    """Who the end user is, for the provider's abuse detection."""
    metadata: dict[str, Any] | None = None
    service_tier: str = ""
    include_usage: bool = True
    """In a stream: the client wants to be told the usage. Only chat lets it say no."""
    extra: dict[str, Any] = field(default_factory=dict)
    """By name, what the format says beyond all this: for that format alone."""
