"""What was worked out from the header fields that a kept connection sends again.

Who calls and what is forwarded follow from the fields and the snapshots alone, and most
clients repeat their fields call after call. The holder forgets all of it whenever any
tenant changes, so nothing here outlives what it was worked out from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.runtime import ApiRuntime, Caller
    from proxy.snapshot import Site

MOST = 16_384
"""Heads known at once, over all tenants."""


class Known:
    """Of one head: its ``site``, known ``by_host`` or by a key; and for ``api`` the caller, and
    the fields ``passed`` on.

    ``api`` is None until its caller is known, ``passed`` until a call was forwarded. ``heads``
    are those of the requests to providers, by deployment, operation, format and whether it streams.
    """

    __slots__ = ("api", "by_host", "caller", "drop_authorization", "heads", "passed", "site")

    def __init__(self, site: Site, *, by_host: bool) -> None:
        self.site = site
        self.by_host = by_host
        self.api: ApiRuntime | None = None
        self.caller: Caller | None = None
        self.drop_authorization = False
        self.passed: bytes | None = None
        self.heads: dict[tuple[str, str, str, bool], bytes] = {}
