"""An answer that must be JSON, as another format asks for it.

Three ways, by what the model knows and the call leaves free:
1. a schema, for models that can be bound to one: ``output_config.format``;
2. a schema, for others, where no tools are in the call: a tool that must be called, with the schema
   as its input (``names.JSON_TOOL``, read back as text);
3. otherwise, and for JSON of any shape, an instruction at the end of the system prompt.

Bound schemas know only a part of JSON Schema, and Anthropic refuses the rest: ``fitted`` takes it
out and says it in the description, where the model can still read it.

Source: Anthropic's documentation of structured outputs, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.ai.formats.messages.models import Model
from proxy.ai.formats.messages.names import JSON_TOOL
from proxy.ai.middle import OutputFormat
from proxy.ai.middle.rules import Notes

_UNKNOWN = frozenset(
    (
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "prefixItems",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "unevaluatedItems",
        "not",
        "if",
        "then",
        "else",
    )
)
_FORMATS = frozenset(
    (
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    )
)
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf")


def tell(output: OutputFormat | None, model: Model, body: dict[str, Any], notes: Notes) -> str:
    """Writes it into ``body``, where ``tools`` and ``thinking`` are already; returns what must be
    added to the system prompt."""
    if output is None or output.kind == "text":
        return ""
    if output.kind == "json" or output.schema is None:
        notes.maps("output", "an instruction")
        return "Answer with one JSON object and nothing else, without a code fence."
    if model.schemas:
        schema, without = fitted(output.schema)
        if without:
            notes.maps("output.schema", f"without {' '.join(sorted(without))}")
        kept = body.setdefault("output_config", {})
        kept["format"] = {"type": "json_schema", "schema": schema}
        return ""
    if "tools" not in body and body.get("thinking", {}).get("type") != "enabled":
        notes.maps("output", "a tool")
        body["tools"] = [_tool(output)]
        body["tool_choice"] = {"type": "tool", "name": JSON_TOOL}
        return ""
    notes.maps("output", "an instruction")
    schema_text = msgspec.json.encode(output.schema).decode()
    return (
        "Answer with one JSON value that fits this JSON Schema and with nothing else, without a "
        f"code fence:\n{schema_text}"
    )


def _tool(output: OutputFormat) -> dict[str, Any]:
    description = output.description or "Takes the answer. Call it once, with all of the answer."
    return {"name": JSON_TOOL, "description": description, "input_schema": of_object(output.schema)}


def of_object(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """The input of a tool is always an object."""
    if not schema:
        return {"type": "object", "properties": {}}
    return dict(schema) if "type" in schema else {"type": "object", **schema}


def fitted(schema: Any) -> tuple[Any, set[str]]:
    """The schema in what can be bound, and the names of what was taken out."""
    without: set[str] = set()
    return _fit(schema, without), without


def _fit(schema: Any, without: set[str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    fit: dict[str, Any] = {}
    loose: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _MAPS and isinstance(value, dict):
            fit[name] = {own: _fit(inner, without) for own, inner in value.items()}
        elif name in _LISTS and isinstance(value, list):
            fit["anyOf" if name == "oneOf" else name] = [_fit(inner, without) for inner in value]
        elif name == "items":
            fit[name] = _fit(value, without)
        elif _is_loose(name, value):
            loose[name] = value
        elif name != "additionalProperties":
            fit[name] = value
    if schema.get("type") == "object" or "properties" in schema:
        fit["additionalProperties"] = False
        if schema.get("additionalProperties", False) is not False:
            without.add("additionalProperties")
    if loose:
        without.update(loose)
        said = ", ".join(f"{name} {_said(value)}" for name, value in loose.items())
        fit["description"] = f"{schema.get('description', '')} ({said})".strip()
    return fit


def _is_loose(name: str, value: Any) -> bool:
    if name == "minItems":
        return value not in (0, 1)
    if name == "format":
        return not isinstance(value, str) or value not in _FORMATS
    return name in _UNKNOWN


def _said(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
