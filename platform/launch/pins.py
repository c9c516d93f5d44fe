"""``python -m launch.pins``: do the requirements files still fit pyproject.toml?

Works without a network: every dependency must have a pin that satisfies it, every pin a hash,
and what production and development share must be the same version. ``make lock`` puts right
what it complains of.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from config import env

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")


def read_pins(text: str) -> tuple[dict[str, str], list[str]]:
    """Name to version, and the complaints: lines that pin nothing or have no hash."""
    pins: dict[str, str] = {}
    problems = []
    for entry in text.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        found = _PIN.match(entry)
        if not found:
            problems.append(f"is not pinned: {entry.strip()[:60]}")
        else:
            pins[canonicalize_name(found["name"])] = found["version"]
            if "--hash=sha256:" not in entry:
                problems.append(f"has no hash: {found['name']}")
    return pins, problems


def unmet(requirements: list[str], pins: dict[str, str]) -> list[str]:
    """The requirements that no pin satisfies."""
    problems = []
    for requirement in map(Requirement, requirements):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"does not satisfy {requirement}: it has {version or 'no pin'}")
    return problems


def check(root: Path) -> list[str]:
    """Every complaint, each beginning with the file it is about."""
    with (root / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    extras = [
        one for extra in project["project"]["optional-dependencies"].values() for one in extra
    ]
    runtime = project["project"]["dependencies"] + extras
    files = {
        "requirements.txt": runtime,
        "requirements-dev.txt": runtime + project["dependency-groups"]["dev"],
        "requirements-uv.txt": ["uv"],
    }
    pins: dict[str, dict[str, str]] = {}
    complaints = []
    for name, requirements in files.items():
        pins[name], problems = read_pins((root / name).read_text())
        problems += unmet(requirements, pins[name])
        complaints += [f"{name} {problem}" for problem in problems]
    for name, version in pins["requirements.txt"].items():
        if (other := pins["requirements-dev.txt"].get(name)) != version:
            complaints.append(f"requirements-dev.txt has {name} {other} in place of {version}")
    return complaints


if __name__ == "__main__":
    found = check(env.ROOT)
    for complaint in found:
        print(complaint)
    print("Run `make lock`." if found else "The pinned requirements fit pyproject.toml.")
    sys.exit(bool(found))
