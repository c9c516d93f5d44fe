"""The guide lists every error that the gateway may answer, with its status, and no other."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import proxy
from proxy.errors import GatewayError

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def _all(cls: type[GatewayError]) -> set[type[GatewayError]]:
    return {cls}.union(*(_all(below) for below in cls.__subclasses__()))


def test_the_guide_lists_exactly_the_codes_that_exist() -> None:
    for module in pkgutil.walk_packages(proxy.__path__, "proxy."):
        importlib.import_module(module.name)
    existing = {(cls.code, cls.status) for cls in _all(GatewayError)}
    existing = {(code, status) for code, status in existing if (code, status) != ("", 0)}
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", GUIDE.read_text(), re.MULTILINE)
    documented = {(code, int(status)) for code, status in rows}
    inherited = {("internal_error", status) for status in (401, 403, 502, 503)}
    assert existing - inherited == documented
