"""What happened: records and their sums, in the public schema with a tenant id."""

from analytics.models.alerts import AlertDelivery, AlertEvent, AlertRule
from analytics.models.poison import PoisonEntry
from analytics.models.records import UsageRecord
from analytics.models.reports import TrendReport
from analytics.models.rollups import INTERVALS, RollupDay, RollupHour, RollupMinute

__all__ = [
    "INTERVALS",
    "AlertDelivery",
    "AlertEvent",
    "AlertRule",
    "PoisonEntry",
    "RollupDay",
    "RollupHour",
    "RollupMinute",
    "TrendReport",
    "UsageRecord",
]
