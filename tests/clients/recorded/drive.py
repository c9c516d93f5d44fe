"""Drives each client over the recordings, and prints what passed by client and provider."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from recordings import DATA

from tests.clients import platform
from tests.clients.recorded.chosen import SOURCES, STEPS, Item, chosen, tenant
from tests.clients.recorded.compare import differences
from tests.clients.recorded.upstream import replaying

PATIENCE = 900
"""Seconds for one client."""
DOORS = {
    "openai_sdk": ("chat", "responses"),
    "openai": ("chat", "responses"),
    "langchain_openai_": ("chat", "responses"),
    "pydantic_ai_": ("chat", "responses"),
    "litellm_": ("chat", "messages"),
    "anthropic_sdk": ("messages",),
    "anthropic": ("messages",),
    "langchain_anthropic_": ("messages",),
    "ai_sdk_anthropic": ("messages",),
    "google_genai": ("gemini",),
    "cohere_sdk": ("cohere",),
}
"""The formats that a client calls the gateway in, where that is not chat alone."""
EMBED = {
    "openai_sdk",
    "openai",
    "langchain_openai_",
    "litellm_",
    "google_genai",
    "cohere_sdk",
    "mistral_sdk",
    "ai_sdk_openai",
}
PACKED = {"openai_sdk": None, "langchain_openai_": None, "openai": True}
"""Of clients that embed in OpenAI's format, those that ask for base64: what they read where the
provider speaks that format too, and a recording is of either. None: both. All others read numbers.
"""
WITHOUT = {
    ("instructor_", "stream"): "it streams a form only, whose parts have no end and no usage",
}
"""Steps that a client has no word for, and why."""
PASSED_ON = "What {} sends in OpenAI's format is passed on to OpenAI's clients as it came: "
EXCEPTIONS: dict[tuple[str, str, str, str], str] = {
    ("langchain_anthropic_", "anthropic", "stream", "input tokens 0 "): "LangChain reads the "
    "input tokens in the last event, where Anthropic did not say them when this was recorded.",
    ("langchain_openai_", "openrouter", "stream", "finish stopstop "): "OpenRouter says twice "
    "that the answer ended, and LangChain adds it up.",
    ("instructor_", "openrouter", "tools", "it raised InstructorRetry"): PASSED_ON.format(
        "OpenRouter"
    )
    + "a call without arguments, which Instructor refuses.",
    (
        "instructor_",
        "deepseek",
        "tools",
        "it raised InstructorRetry",
    ): "DeepSeek's models that think "
    "take no forced `tool_choice`, which the gateway refuses for them, and Instructor sends one.",
    **{
        ("*", "mistral", "chat", words): PASSED_ON.format("Mistral")
        + "a text in pieces, with thoughts among them."
        for words in (
            "text [{'thinking'",
            "it raised UnexpectedModelBehavior",
            "it raised InternalServerError: litellm",
            "it raised ValidationError: 1 validation error for TextBlock",
        )
    },
    ("mistral_sdk", "*", "stream", "input tokens None "): "Mistral's SDK cannot ask for the usage "
    "of a stream, and OpenAI's format has it for those only who ask.",
    ("mistral_sdk", "*", "stream", "output tokens None "): "As with the input tokens.",
    ("mistral_sdk", "*", "stream", "it raised ResponseValidation"): "Mistral's SDK takes a call "
    "of a tool whole, and OpenAI's format has it in pieces.",
    ("pydantic_ai_", "openrouter", "tools", "it raised UnexpectedModel"): PASSED_ON.format(
        "OpenRouter"
    )
    + "a call without arguments, which Pydantic AI refuses.",
    ("pydantic_ai_", "mistral", "tools", "it raised UnexpectedModel"): PASSED_ON.format("Mistral")
    + "calls whose type is null, which Pydantic AI refuses.",
    ("ai_sdk_openai", "openrouter", "tools", "it raised Invalid JSON"): PASSED_ON.format(
        "OpenRouter"
    )
    + "a call without arguments, which the AI SDK refuses.",
    ("mistral_sdk", "openrouter", "tools", "it raised ResponseValidation"): PASSED_ON.format(
        "OpenRouter"
    )
    + "a call without arguments, which Mistral's SDK refuses.",
}
"""By a client's script, a provider, a step and the beginning of the fault: why it cannot pass."""


def driven(scripts: list[tuple[str, Path]], node: Path, most: int) -> list[dict[str, Any]]:
    """A row for each client and recording. ``scripts``: each with the program that runs it."""
    if not DATA.exists():
        print(f"skipped: there are no recordings at {DATA}")
        return []
    items, found = chosen(most)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="hubpo-recorded-") as directory:
        work = Path(directory)
        with replaying(found) as port:
            names = {item.model: item.provider for item in items}
            with platform.gateway(tenant(port, names), work) as address:
                environment = platform.environment(address, node)
                for program, script in scripts:
                    for door in DOORS.get(script.stem, ("chat",)):
                        mine = [item for item in items if _drives(script.stem, door, item)]
                        rows += _over(program, script, door, mine, environment, work)
    print(f"\n{table(rows)}\n")
    return rows


def _drives(client: str, door: str, item: Item) -> bool:
    if (client, item.step) in WITHOUT:
        return False
    if item.step == "embeddings":
        if client not in EMBED or door != DOORS.get(client, ("chat",))[0]:
            return False
        reads = PACKED.get(client, False)
        same = door == "chat" and item.provider in ("openai", "azure-openai", "mistral")
        return not same or reads is None or reads == item.want["packed"]
    return item.suits(door)


def _over(
    program: str,
    script: Path,
    door: str,
    items: list[Item],
    environment: dict[str, str],
    work: Path,
) -> list[dict[str, Any]]:
    given = work / "items.json"
    given.write_text(json.dumps([{**to_builtins(item), "door": door} for item in items]))
    done = subprocess.run(
        [program, str(script)],
        env={**environment, "HUBPO_RECORDED": str(given)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    name = f"{script.parent.name}: {script.stem}"
    client = name if door == DOORS.get(script.stem, ("chat",))[0] else f"{name} ({door})"
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            said[row["item"]] = row
    rows = []
    for place, item in enumerate(items):
        if place in said:
            faults = differences(item, said[place])
        else:
            faults = ["it was not driven: " + " ".join(done.stderr.split())[-400:]]
        excused = _excused(script.stem, item, faults)
        row = {"client": client, "case": item.step, "provider": item.provider}
        row |= {"recording": item.model.removeprefix("rec-"), "ok": not faults or bool(excused)}
        rows.append(row | {"excused": excused, "detail": "; ".join(faults)})
        if not row["ok"]:
            words = (client, item.provider, item.step, row["recording"], rows[-1]["detail"])
            print("FAILED", *words, flush=True)
        elif faults:
            print("known ", client, item.provider, item.step, excused, flush=True)
    passed = sum(not row["detail"] for row in rows)
    print(f"{client}: {passed} of {len(rows)}", flush=True)
    return rows


def _excused(client: str, item: Item, faults: list[str]) -> str:
    """Why each of the faults is known; nothing where one is not."""
    reasons = []
    for fault in faults:
        for (who, provider, step, words), reason in EXCEPTIONS.items():
            places = ((who, client), (provider, item.provider), (step, item.step))
            if fault.startswith(words) and all(a in ("*", b) for a, b in places):
                reasons.append(reason)
                break
        else:
            return ""
    return " ".join(reasons)


def table(rows: list[dict[str, Any]]) -> str:
    """Passed of driven, by client and provider, and by client and step."""
    by_provider = _counts(rows, "provider", [source.name for source in SOURCES])
    return f"{by_provider}\n\n{_counts(rows, 'case', list(STEPS))}"


def _counts(rows: list[dict[str, Any]], field: str, columns: list[str]) -> str:
    driven = Counter((row["client"], row[field]) for row in rows)
    passed = Counter((row["client"], row[field]) for row in rows if not row["detail"])
    lines = [f"{'':38}" + "".join(f"{column:13}" for column in columns)]
    for client in dict.fromkeys(row["client"] for row in rows):
        cells = [(client, column) for column in columns]
        marks = [f"{passed[cell]} of {driven[cell]}" if driven[cell] else "-" for cell in cells]
        lines.append(f"{client:38}" + "".join(f"{mark:13}" for mark in marks))
    return "\n".join(lines)
