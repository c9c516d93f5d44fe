"""Runs the cases of a client: functions by name, each returning what it saw.

A case that is not there is one that the client has no word for.
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


def run(cases: dict[str, Any]) -> None:
    """``cases`` are the globals of the client's script."""
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
