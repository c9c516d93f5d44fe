"""Anthropic's JSON in one of the ways in which the same can be said, to compare what was recorded
with what was written from the middle form."""

import json


def plain(value):
    """null is left out, and so is what holds anyway; a single text stands for its block."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {name: plain(one) for name, one in value.items() if one is not None}
    if value.get("caller") == {"type": "direct"}:
        del value["caller"]
    for name, empty in (("citations", []), ("is_error", False), ("description", "")):
        if value.get(name, 0) == empty and type(value.get(name)) is type(empty):
            del value[name]
    for name in ("content", "system"):
        blocks = value.get(name)
        if isinstance(blocks, list) and len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            value[name] = blocks[0]["text"]
    return value


def plain_request(body):
    value = plain(json.loads(body))
    if value.get("stream") is False:
        del value["stream"]
    for tool in value.get("tools", []):
        if tool.get("type") == "custom":
            del tool["type"]
    if "output_format" in value:  # what it was called in its beta
        value.setdefault("output_config", {})["format"] = value.pop("output_format")
    return value


def plain_answer(body):
    value = plain(json.loads(body))
    searched = value.get("usage", {}).get("server_tool_use")
    if searched is not None:
        searched.setdefault("web_fetch_requests", 0)
    return value


def events_of(body):
    """The data of a stream's events, read in the plain way."""
    lines = body.decode().splitlines()
    return [json.loads(line[5:]) for line in lines if line.startswith("data:")]
