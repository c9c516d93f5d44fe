"""Gives the database connection back in the thread that used it."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections
from django.http import HttpRequest, HttpResponse


def return_connections(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Outermost middleware: returns every connection to the pool, whatever happened.

    Under ASGI a client that leaves cancels the request, but not the thread that works on
    it. Django would give connections back in the cancelled part, so each such client could
    cost one of the pool's for good.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        try:
            return get_response(request)
        finally:
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:  # as in a test's own transaction
                    connection.close()

    return middleware
