"""Clients driven over recorded answers of real providers, each translated into the client's format.

The recordings and their reader are those of ``tests/proxy/ai/formats``.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Those tests are no package: pytest puts their folder on the path, and so does this.
sys.path.append(str(Path(__file__).resolve().parents[2] / "proxy/ai/formats"))
