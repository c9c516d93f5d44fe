"""The tenant's home: what was called on top, what is published below."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of ``admin/home.html``. The two parts know nothing of each other."""
    from analytics.admin.dashboard import usage
    from catalog.admin import home

    return {**home.dashboard(request, context), "usage": usage(request)}
