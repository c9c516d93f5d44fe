"""The data plane needs nothing of the control plane, and its registry is complete."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

from contract.policies import Policy
from proxy.policies import REGISTRY

ROOT = Path(__file__).resolve().parents[2]


def test_importing_the_data_plane_leaves_django_and_the_stdlib_alone() -> None:
    code = (
        "import sys, platform, proxy.asgi\n"
        "assert 'django' not in sys.modules\n"
        "assert 'channels' not in sys.modules\n"
        "assert platform.python_version() and 'python3' in platform.__file__, platform.__file__\n"
    )
    path = f"{ROOT}:{ROOT / 'platform'}"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_kind_of_policy_has_a_module_and_the_other_way_round() -> None:
    assert set(REGISTRY) == set(typing.get_args(Policy))
