"""Paging for lists that may hold millions of rows."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.utils.functional import cached_property


class CappedPaginator(Paginator):
    """Counts no further than ``CAP`` rows, so the cost of a page does not grow with the table.

    What lies beyond is reached by search and filters.
    """

    CAP = 10_000
    template_name = "admin/catalog/pagination.html"

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[: self.CAP].count()

    @property
    def capped(self) -> bool:
        """There are at least ``CAP`` rows; how many more is not known."""
        return self.count >= self.CAP
