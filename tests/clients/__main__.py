"""Installs the clients below ``var/clients``, drives each through its cases, and prints tables.

Against the sandbox provider: chat, stream, tools, structured output, embeddings (where the client
has them) and an error. Then over recorded answers of real providers, where the recordings are
there (``tests.clients.recorded``): the client must tell text, calls of tools, the end's reason and
tokens as they were recorded, whatever the provider's format. A client that cannot be installed is
named, and the run fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from config import env
from tests.clients import platform
from tests.clients.recorded import drive as recorded

HERE = Path(__file__).parent
PYTHON = (
    "openai",
    "anthropic",
    "google-genai",
    "mistralai",
    "cohere",
    "langchain-openai",
    "langchain-anthropic",
    "llama-index-llms-openai",
    "instructor",
    "pydantic-ai",
    "litellm",
)
NODE = (
    "openai",
    "ai",
    "@ai-sdk/openai-compatible",
    "@ai-sdk/anthropic",
    "@anthropic-ai/sdk",
    "@google/genai",
    "zod",
)
CASES = ("chat", "stream", "tools", "structured", "embeddings", "error")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("--only", help="clients, with commas between")
    parser.add_argument("--out", type=Path, help="in place of var/clients.json")
    parser.add_argument("--against", choices=("sandbox", "recordings"), help="only that")
    parser.add_argument(
        "--most", type=int, default=3, help="recordings of each provider, format and step"
    )
    options = parser.parse_args()
    only = options.only.split(",") if options.only else None
    python, node = _install()
    scripts = [(python, path) for path in sorted((HERE / "python").glob("[!_]*.py"))]
    scripts += [("node", path) for path in sorted((HERE / "node").glob("[!_]*.mjs"))]
    scripts = [pair for pair in scripts if only is None or pair[1].stem in only]
    rows: list[dict] = []
    if options.against != "recordings":
        with platform.running() as address:
            for program, script in scripts:
                rows += _driven(program, script, address, node)
        print(f"\n{_table(rows)}\n")
    if options.against != "sandbox":
        rows += recorded.driven(scripts, node, options.most)
    out = options.out or env.var_dir() / "clients.json"
    out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {out}")
    return 0 if rows and all(row["ok"] for row in rows) else 1


def _install() -> tuple[str, Path]:
    place = env.var_dir() / "clients"
    node = place / "node"
    node.mkdir(parents=True, exist_ok=True)
    python = place / "python" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", place / "python"], check=True)
    words = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *PYTHON]
    subprocess.run(words, check=True)
    if not (node / "package.json").exists():
        (node / "package.json").write_text('{"private": true, "type": "module"}\n')
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", *NODE], cwd=node, check=True)
    return str(python), node


def _driven(program: str, script: Path, address: str, node: Path) -> list[dict]:
    """A row for each case, as the script prints them."""
    done = subprocess.run(
        [program, str(script)],
        env=platform.environment(address, node),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    rows = []
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            rows.append({"client": f"{script.parent.name}: {script.stem}"} | json.loads(line))
    if not rows or done.returncode:
        text = " ".join(done.stderr.split())[-400:]
        rows.append({"client": script.stem, "case": "start", "ok": False, "detail": text})
    for row in rows:
        mark = "ok" if row["ok"] else "FAILED"
        print(f"{mark:7}{row['client']:28}{row['case']:12}{row['detail'][:300]}", flush=True)
    return rows


def _table(rows: list[dict]) -> str:
    clients = list(dict.fromkeys(row["client"] for row in rows))
    found = {(row["client"], row["case"]): row for row in rows}
    lines = [f"{'':30}" + "".join(f"{case:12}" for case in CASES)]
    for client in clients:
        marks = [
            "-" if row is None or row["detail"] == "-" else "ok" if row["ok"] else "FAILED"
            for row in (found.get((client, case)) for case in CASES)
        ]
        lines.append(f"{client:30}" + "".join(f"{mark:12}" for mark in marks))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
