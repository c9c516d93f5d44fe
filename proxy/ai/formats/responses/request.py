"""Requests, in both directions.

Source: OpenAI's API reference, "Create a model response". What keeps state at the provider
(``previous_response_id``, ``conversation``, ``store``, ``background``) is for this format alone; a
request from another keeps none.
"""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.fields import Fields, encode, request_fields
from proxy.ai.formats.responses import items, told, tools
from proxy.ai.formats.responses.names import NAME
from proxy.ai.middle import OutputFormat, Reasoning, Request
from proxy.ai.middle.rules import Notes

_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED = "reasoning.encrypted_content"


def read_request(body: bytes, *, model: str = "", stream: bool = False) -> Request:
    fields = request_fields(body)
    extra: dict[str, Any] = {}
    include = fields.texts("include")
    output, verbosity = _text(fields, extra)
    request = Request(
        format=NAME,
        model=fields.text("model") or model,
        messages=items.read_input(fields),
        stream=fields.flag("stream") or stream,
        tools=tools.read(fields),
        tool_choice=tools.read_choice(fields, extra),
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
        max_tokens=fields.whole("max_output_tokens"),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        logprobs=True if _LOGPROBS in include else None,
        top_logprobs=fields.whole("top_logprobs"),
        output=output,
        verbosity=verbosity,
        reasoning=_reasoning(fields, extra),
        user=fields.text("user"),
        metadata=fields.table("metadata"),
        service_tier=fields.text("service_tier"),
    )
    further = [name for name in include if name != _LOGPROBS]
    if further:
        extra["include"] = further
    request.extra = extra | fields.rest()
    return request


def _text(fields: Fields, extra: dict[str, Any]) -> tuple[OutputFormat | None, str]:
    text = fields.inner("text")
    if text is None:
        return None, ""
    verbosity = text.text("verbosity")
    form = text.inner("format")
    for name, value in text.rest().items():
        extra[f"text.{name}"] = value
    return (None if form is None else _output(form, extra)), verbosity


def _output(form: Fields, extra: dict[str, Any]) -> OutputFormat | None:
    kind = form.text("type")
    if kind in ("json_object", "text"):
        return OutputFormat("json" if kind == "json_object" else "text")
    if kind != "json_schema":
        extra["text.format"] = form.rest() | {"type": kind}
        return None
    return OutputFormat(
        "schema",
        form.text("name"),
        form.text("description"),
        form.table("schema"),
        form.flag("strict"),
    )


def _reasoning(fields: Fields, extra: dict[str, Any]) -> Reasoning | None:
    given = fields.inner("reasoning")
    if given is None:
        return None
    effort = given.text("effort")
    summary = given.text("generate_summary")
    summary = given.text("summary") or summary
    for name, value in given.rest().items():
        extra[f"reasoning.{name}"] = value
    if not effort and not summary:
        return None
    return Reasoning(on=effort != "none", effort=effort, summary=summary)


def write_request(request: Request, model: str, notes: Notes) -> bytes:
    body: dict[str, Any] = {"model": model} | told.write_input(request, notes)
    body |= tools.write(request, notes)
    body |= settings(request, notes)
    include = list(request.extra.get("include", []))
    if request.logprobs:
        include.append(_LOGPROBS)
    if request.format != NAME:
        body["store"] = False
        if request.reasoning is not None and request.reasoning.on:
            include.append(_ENCRYPTED)
    if request.stream:
        body["stream"] = True
    for path, value in request.extra.items():
        outer, _, name = path.partition(".")
        if name and outer in ("text", "reasoning"):
            body.setdefault(outer, {})[name] = value
        else:
            body[path] = value
    if include:
        body["include"] = include
    return encode(body)


def settings(request: Request, notes: Notes) -> dict[str, Any]:
    """The fields that say how to answer; a response repeats them."""
    body: dict[str, Any] = {}
    for name in ("temperature", "top_p", "top_logprobs", "metadata"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    for name in ("user", "service_tier"):
        if getattr(request, name):
            body[name] = getattr(request, name)
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    text: dict[str, Any] = {}
    if request.output is not None:
        text["format"] = _output_written(request.output)
    if request.verbosity:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    if request.reasoning is not None:
        body["reasoning"] = _reasoning_written(request.reasoning, notes)
    return body


def _output_written(output: OutputFormat) -> dict[str, Any]:
    if output.kind != "schema":
        return {"type": "json_object" if output.kind == "json" else "text"}
    form: dict[str, Any] = {"type": "json_schema", "name": output.name or "answer"}
    if output.description:
        form["description"] = output.description
    form["schema"] = output.schema or {}
    if output.strict is not None:
        form["strict"] = output.strict
    return form


def _reasoning_written(reasoning: Reasoning, notes: Notes) -> dict[str, Any]:
    written: dict[str, Any] = {}
    if not reasoning.on:
        written["effort"] = "none"
    elif reasoning.effort:
        written["effort"] = reasoning.effort
    elif reasoning.budget is not None:
        budget = reasoning.budget
        written["effort"] = "low" if budget <= 2048 else "medium" if budget <= 12288 else "high"
        notes.maps("reasoning", written["effort"])
    if reasoning.summary:
        written["summary"] = reasoning.summary
    return written
