"""Upstreams and their targets."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from catalog.models import Target, Upstream
from catalog.services import publishing, rows, tiers


def check_target(target: Target) -> None:
    """Raises ValidationError for an address that the account tier keeps out."""
    tiers.check_address(target.url, "url")


@transaction.atomic
def save_upstream(*, upstream: Upstream, targets: Sequence[Target] | None = None) -> Upstream:
    """Saves it, and makes ``targets`` its targets; None leaves them as they are."""
    upstream.full_clean()
    upstream.save()
    if targets is not None:
        rows.replace_children(
            upstream.targets,
            targets,
            name="targets",
            key=lambda target: target.url,
            check=check_target,
        )
    publishing.changed()
    return upstream


@transaction.atomic
def save_target(*, target: Target) -> Target:
    """Saves one address of an upstream."""
    target.full_clean()
    check_target(target)
    return rows.save(row=target)
