"""The demo tenant's addresses and credentials: ``var/demo.json`` and what is printed of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from launch.checks import write_private
from launch.problems import DidNotStart

FIELDS = ("console", "gateway", "host", "admin", "operator", "api_key", "management_token")
_MORE = ("viewer", "model", "paths")


def read(var: Path) -> dict[str, Any] | None:
    """What an earlier start has written; None where there is nothing usable."""
    try:
        found = json.loads((var / "demo.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and set(FIELDS + _MORE) <= set(found) else None


def parse(lines: list[str]) -> dict[str, Any]:
    """The last line of ``manage.py create_demo``. A secret it no longer knows is null there."""
    try:
        made = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
    except (StopIteration, ValueError):
        raise DidNotStart(f"create_demo did not end in JSON: {lines[-1:]}") from None
    return {name: made.get(name) for name in (*FIELDS, *_MORE)}


def merge(made: dict[str, Any], kept: dict[str, Any] | None) -> dict[str, Any]:
    """Addresses as they are now; secrets that can be shown only once as they were kept."""
    merged = dict(kept or {})
    for name, value in made.items():
        before = merged.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[name] = merge(value, before)
        elif value or name not in merged:
            merged[name] = value
    return merged


def write(var: Path, demo: dict[str, Any]) -> None:
    write_private(var / "demo.json", json.dumps(demo, indent=2) + "\n")


def summary(demo: dict[str, Any]) -> str:
    """What the person at the terminal needs: addresses, credentials, three calls to paste."""
    gateway, key = demo["gateway"].rstrip("/"), demo["api_key"]
    console = demo["console"].rstrip("/")
    port = console.rpartition(":")[2]
    admin, operator, paths = demo["admin"], demo["operator"], demo["paths"]
    chat = {"model": demo["model"], "messages": [{"role": "user", "content": "Hello"}]}
    calls = (
        (paths["rest"], None),
        ("/v1/chat/completions", chat),
        (paths["prompt"], {"text": "I love this place."}),
    )
    lines = [
        "",
        "Hubpo is running. Ctrl-C stops it.",
        "",
        f"  Demo tenant   {console}/admin/   {admin['username']} / {admin['password']}",
        f"  Operator      http://localhost:{port}/admin/   "
        f"{operator['username']} / {operator['password']}",
        f"  Gateway       {gateway}/",
        f"  API key       {key}",
        f"  Token of the management API at {console}/api/docs/   {demo['management_token']}",
        "",
        "Three calls to try:",
        "",
    ]
    for path, body in calls:
        data = f" -H 'Content-Type: application/json' -d '{json.dumps(body)}'" if body else ""
        lines.append(f"  curl {gateway}{path} -H 'Authorization: Bearer {key}'{data}")
    return "\n".join([*lines, ""])
