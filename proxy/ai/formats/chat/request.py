"""Requests, in both directions.

Sources: OpenAI's API reference, "Create chat completion"; for ``reasoning`` OpenRouter's, for
``thinking`` DeepSeek's and Z.ai's, for ``random_seed`` Mistral's, for ``top_k`` vLLM's.
"""

from __future__ import annotations

from typing import Any, Literal

from proxy.ai.formats.chat import messages, tools
from proxy.ai.formats.chat.dialects import OWN, Dialect, Telling
from proxy.ai.formats.chat.names import NAME
from proxy.ai.formats.fields import Fields, encode, request_fields
from proxy.ai.middle import OutputFormat, Reasoning, Request
from proxy.ai.middle.rules import Notes, unsaid

_NESTED = ("stream_options", "reasoning", "thinking", "response_format")
"""Fields of which only a part may be unknown: ``extra`` then has that part's path."""

_AS_IT_IS = (
    "temperature",
    "top_p",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "metadata",
    "audio",
)
"""Written under the name that the middle form has for it, where it is not None."""

_AS_IT_IS_UNLESS_EMPTY = ("stop", "modalities", "verbosity", "user")

_TIERS = {"standard_only": "default", "reserved": "default"}
"""What others call tiers of this format."""


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> Request:
    fields = request_fields(body)
    extra: dict[str, Any] = {}
    named = fields.text("model") or model
    if not named:
        raise fields.wrong("model", "a string")
    request = Request(
        format=NAME,
        model=named,
        messages=messages.read(fields),
        stream=fields.flag("stream") or stream,
        tools=tools.read(fields),
        tool_choice=tools.read_choice(fields, extra),
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
        max_tokens=_max_tokens(fields),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.whole("top_k"),
        stop=_stop(fields),
        n=fields.whole("n"),
        seed=_seed(fields),
        presence_penalty=fields.number("presence_penalty"),
        frequency_penalty=fields.number("frequency_penalty"),
        logit_bias=fields.table("logit_bias"),
        logprobs=fields.flag("logprobs"),
        top_logprobs=fields.whole("top_logprobs"),
        output=_output(fields, extra),
        reasoning=_reasoning(fields, extra),
        modalities=fields.texts("modalities"),
        audio=fields.table("audio"),
        verbosity=fields.text("verbosity"),
        user=fields.text("user"),
        metadata=fields.table("metadata"),
        service_tier=fields.text("service_tier"),
        include_usage=_include_usage(fields, extra),
    )
    request.extra = extra | fields.rest()
    return request


def _max_tokens(fields: Fields) -> int | None:
    older = fields.whole("max_tokens")
    newer = fields.whole("max_completion_tokens")
    return older if newer is None else newer


def _seed(fields: Fields) -> int | None:
    theirs = fields.whole("random_seed")
    seed = fields.whole("seed")
    return theirs if seed is None else seed


def _stop(fields: Fields) -> list[str]:
    given = fields.take("stop")
    if type(given) is str:
        return [given]
    if given is None:
        return []
    if type(given) is not list or not all(type(text) is str for text in given):
        raise fields.wrong("stop", "a string or an array of strings")
    return given


def _include_usage(fields: Fields, extra: dict[str, Any]) -> bool:
    """Of a stream; a whole answer always has it."""
    options = fields.inner("stream_options")
    if options is None:
        return False
    wanted = options.flag("include_usage")
    _keep(options, extra)
    return wanted is True


def _keep(fields: Fields, extra: dict[str, Any]) -> None:
    for name, value in fields.rest().items():
        extra[f"{fields.path}.{name}"] = value


def _output(fields: Fields, extra: dict[str, Any]) -> OutputFormat | None:
    form = fields.inner("response_format")
    if form is None:
        return None
    kind = form.text("type")
    inner = form.inner("json_schema") if kind == "json_schema" else None
    if inner is not None:
        output = OutputFormat(
            "schema",
            inner.text("name"),
            inner.text("description"),
            inner.table("schema"),
            inner.flag("strict"),
        )
        _keep(inner, extra)
    elif kind in ("json_object", "text"):
        output = OutputFormat("json" if kind == "json_object" else "text")
    else:
        extra["response_format"] = form.rest() | {"type": kind}
        return None
    _keep(form, extra)
    return output


def _reasoning(fields: Fields, extra: dict[str, Any]) -> Reasoning | None:
    effort = fields.text("reasoning_effort")
    found = Reasoning(on=effort != "none", effort=effort) if effort else None
    theirs = fields.inner("reasoning")
    if theirs is not None:
        effort = theirs.text("effort") or effort
        on = theirs.flag("enabled") is not False and effort != "none"
        found = Reasoning(on, effort, theirs.whole("max_tokens"), theirs.text("summary"))
        _keep(theirs, extra)
    given = fields.take("thinking")
    if type(given) is not dict:
        if given is not None:
            extra["thinking"] = given
        return found
    thinking = fields.at(given, "thinking")
    kind, budget = thinking.text("type"), thinking.whole("budget_tokens")
    _keep(thinking, extra)
    if not kind and budget is None:
        return found
    return Reasoning(kind != "disabled", found.effort if found else "", budget)


def write_request(
    request: Request, model: str, notes: Notes, dialect: Dialect | None = None
) -> bytes:
    """``dialect`` is the provider's, one of ``DIALECTS``. Without one, what a client of this format
    said is said again as it was, and others' requests as most providers understand them."""
    own = request.format == NAME
    dialect = dialect or (OWN if own else Dialect())
    telling = Telling(dialect, notes, own, tools.old(request))
    body: dict[str, Any] = {"model": model, "messages": messages.write(request, telling)}
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    body |= tools.write(request, telling)
    for name in _AS_IT_IS:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    for name in _AS_IT_IS_UNLESS_EMPTY:
        value = getattr(request, name)
        if value:
            body[name] = value
    if not own:
        unsaid(request, ("citations", "call_cache"), notes)
    if request.top_k is not None:
        if dialect.top_k:
            body["top_k"] = request.top_k
        else:
            notes.lacks("top_k")
    if request.service_tier:
        tier = _TIERS.get(request.service_tier, request.service_tier)
        if tier != request.service_tier:
            notes.maps("service_tier", tier)
        body["service_tier"] = tier
    if request.max_tokens is not None:
        body["max_completion_tokens"] = request.max_tokens
    if request.seed is not None:
        body["seed"] = request.seed
    if request.output is not None:
        body["response_format"] = _output_written(request.output)
    if request.reasoning is not None:
        body |= _reasoning_written(request.reasoning, telling)
    for path, value in request.extra.items():
        _put(body, path, value)
    return encode(body)


def _output_written(output: OutputFormat) -> dict[str, Any]:
    if output.kind != "schema":
        return {"type": "json_object" if output.kind == "json" else "text"}
    inner: dict[str, Any] = {"name": output.name or "answer"}
    if output.description:
        inner["description"] = output.description
    if output.schema is not None:
        inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}


def _reasoning_written(reasoning: Reasoning, telling: Telling) -> dict[str, Any]:
    spelling = telling.dialect.reasoning
    if spelling == "reasoning":
        return {"reasoning": _reasoning_object(reasoning)}
    if reasoning.summary:
        telling.notes.lacks("reasoning.summary")
    if spelling == "thinking" or (telling.own and not reasoning.effort):
        return _thinking_object(reasoning, telling)
    effort = reasoning.effort if reasoning.on else "none"
    if not effort:
        effort = effort_of(reasoning.budget)
        telling.notes.maps("reasoning", effort)
    return {"reasoning_effort": effort}


def _thinking_object(reasoning: Reasoning, telling: Telling) -> dict[str, Any]:
    thinking: dict[str, Any] = {"type": "enabled" if reasoning.on else "disabled"}
    effort = reasoning.effort if reasoning.on else ""
    if reasoning.budget is not None and telling.own:
        thinking["budget_tokens"] = reasoning.budget
    elif reasoning.budget is not None and reasoning.on and not effort:
        effort = effort_of(reasoning.budget)
        telling.notes.maps("reasoning", effort)
    return {"thinking": thinking} | ({"reasoning_effort": effort} if effort else {})


def _reasoning_object(reasoning: Reasoning) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if not reasoning.on:
        return {"enabled": False} if reasoning.effort != "none" else {"effort": "none"}
    if reasoning.effort:
        written["effort"] = reasoning.effort
    if reasoning.budget is not None:
        written["max_tokens"] = reasoning.budget
    if reasoning.summary:
        written["summary"] = reasoning.summary
    return written or {"enabled": True}


def effort_of(budget: int | None) -> Literal["low", "medium", "high"]:
    """The effort nearest to a budget of thinking in tokens; the usual one where there is none."""
    if budget is None:
        return "medium"
    return "low" if budget <= 2048 else "medium" if budget <= 12288 else "high"


def _put(body: dict[str, Any], path: str, value: Any) -> None:
    """Sets what ``path`` leads to, like ``response_format.json_schema.x``, where its field is one
    of those that are read in part; all other names are a field's, whatever characters they have."""
    *outer, name = path.split(".")
    if not outer or outer[0] not in _NESTED:
        body[path] = value
        return
    for step in outer:
        body = body.setdefault(step, {})
    body[name] = value
