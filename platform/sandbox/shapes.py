"""Values that fit a JSON schema, made without thinking: what the sandbox answers in
structured output and in the arguments of tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FORMATS = {
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "date-time": "2026-01-01T12:00:00Z",
    "email": "sandbox@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
MAX_DEPTH = 12


def fill(schema: Any, hints: Mapping[str, Any], text: str = "sandbox") -> Any:
    """A value of the schema's shape: enum, const, default and local ``$ref`` are followed.

    ``hints`` are values by property name, used where they fit; other strings become ``text``.
    """
    return _fill(schema, hints, text, schema, 0)


def _fill(schema: Any, hints: Mapping[str, Any], text: str, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _fill(_follow(schema["$ref"], root), hints, text, root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _fill(schema[key][0], hints, text, root, depth + 1)
    if schema.get("allOf"):
        schema = _merge(schema)
    return _of_type(schema, hints, text, root, depth)


def _of_type(
    schema: dict[str, Any], hints: Mapping[str, Any], text: str, root: Any, depth: int
) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next(iter(kind), "null")
    if kind == "object":
        return _object(schema, hints, text, root, depth)
    if kind == "array":
        count = max(1, int(schema.get("minItems", 1)))
        return [_fill(schema.get("items"), hints, text, root, depth + 1)] * min(count, 100)
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return min(low, schema.get("maximum", low))
    if kind == "boolean":
        return True
    if kind == "string":
        value = _FORMATS.get(schema.get("format", ""), text)
        value = value.ljust(min(int(schema.get("minLength", 0)), 10_000), ".")
        return value[: int(schema.get("maxLength", len(value)))]
    return None


def _object(
    schema: dict[str, Any], hints: Mapping[str, Any], text: str, root: Any, depth: int
) -> dict[str, Any]:
    value: dict[str, Any] = {}
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        if depth > MAX_DEPTH // 2 and name not in required:
            continue  # Recursive schemas end here.
        if name in hints and fits(hints[name], inner, root):
            value[name] = hints[name]
        else:
            value[name] = _fill(inner, hints, text, root, depth + 1)
    return value


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether a scalar may stand where the schema is: its type and its enum are looked at."""
    if isinstance(schema, dict) and "$ref" in schema:
        schema = _follow(schema["$ref"], root)
    if not isinstance(schema, dict):
        return False
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return any(fits(value, option, root) for option in options)
    if "const" in schema:
        return bool(value == schema["const"])
    if schema.get("enum"):
        return value in schema["enum"]
    kinds = schema.get("type", "string")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        wanted = _TYPES.get(kind) if isinstance(kind, str) else None
        if wanted and isinstance(value, wanted) and (kind == "boolean") == isinstance(value, bool):
            return True
    return False


def _follow(reference: Any, root: Any) -> Any:
    """A local reference like ``#/$defs/City``; None for anything else."""
    found = root
    for part in str(reference).removeprefix("#").split("/")[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _merge(schema: dict[str, Any]) -> dict[str, Any]:
    """Objects under ``allOf`` as one; references in it are not followed."""
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    merged["properties"] = dict(schema.get("properties", {}))
    for part in schema["allOf"]:
        if isinstance(part, dict):
            merged["properties"] |= part.get("properties", {})
            merged.setdefault("type", part.get("type", "object"))
    return merged
