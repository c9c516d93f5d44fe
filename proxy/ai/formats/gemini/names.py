"""Names in camelCase, schemas in lower case, and what finish reasons are called."""

from __future__ import annotations

from typing import Any

from proxy.ai.formats.fields import Fields
from proxy.ai.middle import Finish

FORMAT = "gemini"
MADE = "made-"
"""Begins the ids of tool calls that came without one: they are not told back."""
ELSEWHERE = "aHVicG86"
"""Before a signature that is none of Gemini's, which a client keeps for whoever made it: "hubpo:"
in base64, without padding."""
SEALED = "c2VhbGVk"
"""Follows it where all of a thought is encrypted, and not its signature: "sealed"."""

FINISHES: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
}
REASONS: dict[Finish, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "error": "OTHER",
}


def own(rest: dict[str, Any]) -> dict[str, Any] | None:
    """``extra`` of a part, a message or a tool."""
    return {FORMAT: rest} if rest else None


def camel(name: str) -> str:
    head, *others = name.split("_")
    return head + "".join(other[:1].upper() + other[1:] for other in others) if others else name


def camelled(value: Any) -> Any:
    """The same object with the names of its own fields, not of what is inside, in camelCase."""
    if type(value) is not dict:
        return value
    return {camel(name) if "_" in name else name: inner for name, inner in value.items()}


def inner(fields: Fields, name: str) -> Fields | None:
    value = fields.take(name)
    return None if value is None else fields.at(camelled(value), name)


def each(fields: Fields, name: str) -> list[Fields]:
    """Where a list is wanted and one object is there, Google takes it for a list of one."""
    given = fields.take(name)
    if type(given) is not dict and type(given) is not list and given is not None:
        raise fields.wrong(name, "an array")
    items = given if type(given) is list else [] if given is None else [given]
    return [fields.at(camelled(value), f"{name}[{place}]") for place, value in enumerate(items)]


def plain_schema(schema: Any) -> Any:
    """Gemini's own kind of schema as JSON Schema: types in lower case, ``nullable`` as a type.

    Names in a schema are not ours to change, but for those of the schema language itself.
    """
    if type(schema) is list:
        return [plain_schema(item) for item in schema]
    if type(schema) is not dict:
        return schema
    plain: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties" and type(value) is dict:
            plain[name] = {key: plain_schema(inside) for key, inside in value.items()}
        elif name == "type" and type(value) is str:
            plain[name] = value.lower()
        elif name in ("items", "anyOf", "any_of", "prefixItems"):
            plain["anyOf" if name == "any_of" else name] = plain_schema(value)
        elif name not in ("nullable", "propertyOrdering", "property_ordering"):
            plain[name] = value
    if schema.get("nullable") is True and type(plain.get("type")) is str:
        plain["type"] = [plain["type"], "null"]
    return plain
