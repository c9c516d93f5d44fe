"""Runs the cases of a client: functions by name, each returning what it saw.

A case that is not there is one that the client has no word for. Over recordings the function
``ask`` is given each in turn, and returns what the client told (``seen``).
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

ADDRESS = os.environ["HUBPO_ADDRESS"]
KEY = os.environ["HUBPO_KEY"]
CHAT = os.environ["HUBPO_CHAT"]
EMBEDDING = os.environ["HUBPO_EMBEDDING"]
QUESTION = "Please tell the sentiment of: what a lovely day"
CALL = "call get_weather city=Paris"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CASES = ("chat", "stream", "tools", "structured", "embeddings", "error")


ANY = {"type": "object", "properties": {}, "additionalProperties": True}


def run(cases: dict[str, Any]) -> None:
    """``cases`` are the globals of the client's script."""
    given = os.environ.get("HUBPO_RECORDED")
    if given:
        with open(given) as file:
            _recorded(cases["ask"], json.load(file))
        return
    for case in CASES:
        function = cases.get(case)
        if function is None:
            row = {"case": case, "ok": True, "detail": "-"}
        else:
            try:
                row = {"case": case, "ok": True, "detail": str(function())[:200]}
            except Exception as error:  # noqa: BLE001 - whatever a client raises is the result
                where = traceback.extract_tb(error.__traceback__)[-1]
                text = f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"
                row = {"case": case, "ok": False, "detail": text[:400]}
        print(json.dumps(row), flush=True)


def _recorded(ask: Any, items: list[dict[str, Any]]) -> None:
    """``ask`` takes an item (``tests.clients.recorded.chosen.Item``, and the door) and tells."""
    for place, item in enumerate(items):
        row: dict[str, Any] = {"item": place}
        try:
            row["told"] = ask(item)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is the result
            row["raised"] = {"status": _status(error), "words": _words(error)}
        print(json.dumps(row, default=str), flush=True)


def _status(error: BaseException | None) -> int | None:
    while error is not None:
        for name in ("status_code", "code", "http_status"):
            status = getattr(error, name, None)
            if isinstance(status, int):
                return status
        error = error.__cause__ or error.__context__
    return None


def _words(error: BaseException) -> str:
    """All that the error and what it came from say."""
    found, one = [], error
    while one is not None:
        found.append(f"{type(one).__name__}: {one} {getattr(one, 'body', '')}")
        one = one.__cause__ or one.__context__
    return " | ".join(found)[:6000]


def seen(text: Any, calls: Any, finish: Any, tokens: tuple[Any, Any]) -> dict[str, Any]:
    """What an answer told. ``calls``: names and arguments; ``tokens``: of input and output."""
    return {
        "text": text or "",
        "calls": [list(call) for call in calls],
        "finish": finish,
        "input": tokens[0],
        "output": tokens[1],
    }


def functions(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools that the recorded answer calls, in the words of OpenAI's chat."""
    return [
        {"type": "function", "function": {"name": name, "parameters": ANY}}
        for name in item["tools"]
    ]


def same(found: Any, wanted: Any) -> Any:
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")
    return found


def some(found: Any) -> Any:
    if not found:
        raise AssertionError(f"There is nothing: {found!r}")
    return found


def raises(kind: type[BaseException] | tuple[type[BaseException], ...], call: Any) -> str:
    """The words of the error that the call must raise."""
    try:
        call()
    except kind as error:
        return f"{type(error).__name__}: {error}"[:150]
    raise AssertionError("No error was raised.")
