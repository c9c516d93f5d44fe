"""What tenants ask of their usage. Every read runs in the tenant's own database session.

Sums are answered from roll-ups (``totals``, ``series``, ``grouped``, ``grouped_series``,
``estimate``), calls from the records (``records``, ``record``, ``stream``). What cannot be
answered raises ``QueryError``, whose text is a sentence for the one who asked.
"""

from analytics.queries.calls import Record, RecordFilters, RecordPage, record, records, stream
from analytics.queries.groups import ORDERS, Group, grouped, grouped_series
from analytics.queries.intervals import Axis, Point, axis, series
from analytics.queries.ranges import Range, best_interval, check_interval, cover
from analytics.queries.shapes import DIMENSIONS, NOTHING, Filters, QueryError, Totals
from analytics.queries.sums import estimate, totals

__all__ = [
    "DIMENSIONS",
    "NOTHING",
    "ORDERS",
    "Axis",
    "Filters",
    "Group",
    "Point",
    "QueryError",
    "Range",
    "Record",
    "RecordFilters",
    "RecordPage",
    "Totals",
    "axis",
    "best_interval",
    "check_interval",
    "cover",
    "estimate",
    "grouped",
    "grouped_series",
    "record",
    "records",
    "series",
    "stream",
    "totals",
]
