"""Single calls, ready to be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.urls import NoReverseMatch, reverse
from django.utils.timezone import localtime

from analytics.admin import text
from analytics.admin.state import EPOCH, MICROSECOND
from analytics.models import UsageRecord
from analytics.names import names

TONES = {2: "good", 3: "good", 4: "warn", 5: "bad"}
_COLOURS = {"good": "success", "warn": "warning", "bad": "danger"}
_REFERENCES = {
    "api": "api",
    "route": None,
    "application": "application",
    "key": "apikey",
    "plan": "plan",
    "model": "aimodel",
    "provider": "provider",
    "deployment": None,
    "prompt": "prompt",
}
"""What a record refers to by id, with the model whose page there is."""


def url_of(record: UsageRecord) -> str:
    """The record's page. ``at`` says in which day's partition it is."""
    at = (record.at - EPOCH) // MICROSECOND
    return f"{reverse('usage:call', args=[record.id])}?at={at}"


def brief(record: UsageRecord) -> dict[str, str]:
    """A line of the dashboard's latest calls."""
    return {
        "url": url_of(record),
        "time": f"{localtime(record.at):%H:%M:%S}",
        "status": str(record.status),
        "tone": TONES.get(record.status // 100, ""),
        "what": f"{record.method} {record.path}",
        "latency": text.duration(record.total_us),
    }


def lines(records: list[UsageRecord]) -> list[dict[str, Any]]:
    """Rows of the call log; one query for each kind of name."""
    named = _names(records, ("api", "application"))
    return [
        brief(record)
        | {
            "at": text.instant(record.at),
            "label": _COLOURS.get(TONES.get(record.status // 100, ""), ""),
            "error_code": record.error_code,
            "api": named["api"].get(record.api_id, ""),
            "application": named["application"].get(record.application_id, ""),
            "model": record.model,
            "tokens": _tokens(record),
            "cost": "" if (cost := _cost(record)) == text.NOTHING else cost,
            "retried": record.attempts if (record.attempts or 0) > 1 else "",
            "demo": record.demo,
            "abandoned": record.abandoned,
        }
        for record in records
    ]


def whole(record: UsageRecord) -> dict[str, Any]:
    """All that is known of a call, in groups of (label, value, address or "")."""
    named = _names([record], tuple(_REFERENCES))

    def reference(label: str, kind: str) -> tuple[str, str, str]:
        id_ = getattr(record, f"{kind}_id")
        name = named[kind].get(id_, text.NOTHING)
        return label, name, _page(kind, id_) if not name.startswith("deleted (") else ""

    model = reference("Model", "model")
    return {
        "label": _COLOURS.get(TONES.get(record.status // 100, ""), ""),
        "groups": [
            (
                "Call",
                [
                    ("Time", f"{text.moment(record.at, seconds=True)} UTC", ""),
                    ("Request id", str(record.id), ""),
                    ("Method", record.method, ""),
                    ("Path", record.path, ""),
                    ("Status", str(record.status), ""),
                    ("Error code", record.error_code or text.NOTHING, ""),
                    ("Received", text.size(record.request_bytes), ""),
                    ("Sent", text.size(record.response_bytes), ""),
                    ("Attempts upstream", text.count(record.attempts), ""),
                    ("Streamed", _yes(record.streamed), ""),
                    ("Client left early", _yes(record.abandoned), ""),
                    ("Demo data", _yes(record.demo), ""),
                ],
            ),
            (
                "Through",
                [
                    reference("API", "api"),
                    reference("Route", "route"),
                    reference("Application", "application"),
                    reference("API key", "key"),
                    reference("Plan", "plan"),
                ],
            ),
            (
                "AI",
                [
                    (model[0], record.model or model[1], model[2]),
                    reference("Provider", "provider"),
                    reference("Deployment", "deployment"),
                    reference("Prompt", "prompt"),
                    ("Prompt version", str(record.prompt_version or text.NOTHING), ""),
                    ("Input tokens", text.count(record.input_tokens), ""),
                    ("Output tokens", text.count(record.output_tokens), ""),
                    ("Of the input, cached", text.count(record.cached_tokens), ""),
                    ("Of the output, reasoning", text.count(record.reasoning_tokens), ""),
                    ("Written to a cache", text.count(record.cache_write_tokens), ""),
                    ("Besides tokens", _measured(record), ""),
                    ("Cost", _cost(record), ""),
                    ("Saved", text.money(record.saved_micros, record.currency), ""),
                    ("Chosen", record.routed or text.NOTHING, ""),
                    ("Told otherwise than asked", record.adapted or text.NOTHING, ""),
                ],
            ),
        ],
        "latency": _latency(record),
    }


def _latency(record: UsageRecord) -> dict[str, Any]:
    """The split of a call's time; widths and places in percent of the whole."""
    total = max(record.total_us, 1)
    upstream = min(record.upstream_us, total)
    return {
        "total": text.duration(record.total_us),
        "gateway": text.duration(record.total_us - upstream),
        "upstream": text.duration(record.upstream_us),
        "first_byte": text.duration(record.first_byte_us) if record.first_byte_us else "",
        "gateway_width": round(100 * (total - upstream) / total, 2),
        "upstream_width": round(100 * upstream / total, 2),
        "first_byte_place": round(100 * min(record.first_byte_us, total) / total, 2),
    }


def _names(records: Iterable[UsageRecord], kinds: tuple[str, ...]) -> dict[str, dict[UUID, str]]:
    ids: dict[str, set[UUID]] = defaultdict(set)
    for record in records:
        for kind in kinds:
            id_ = getattr(record, f"{kind}_id")
            if id_ is not None:
                ids[kind].add(id_)
    return {kind: names(kind, ids[kind]) if ids[kind] else {} for kind in kinds}


def _page(kind: str, id_: UUID | None) -> str:
    """The page of what a record refers to, where there is one."""
    model = _REFERENCES[kind]
    if id_ is None or model is None:
        return ""
    try:
        return reverse(f"admin:catalog_{model}_change", args=[id_])
    except NoReverseMatch:  # the catalogue has no such page
        return ""


def _tokens(record: UsageRecord) -> str:
    if record.input_tokens is None and record.output_tokens is None:
        return ""
    return f"{text.count(record.input_tokens)} / {text.count(record.output_tokens)}"


def _measured(record: UsageRecord) -> str:
    """Like “3 pictures (1024x1536/high)” or “90.5 seconds of sound”."""
    unit, count, kind = record.measure, record.measured, record.measured_kind
    if not unit:
        return text.NOTHING
    if unit == "millisecond":
        if count is None:
            return "sound of unknown length"
        return f"{f'{count / 1000:,.3f}'.rstrip('0').rstrip('.')} seconds of sound"
    many = "an unknown number of" if count is None else text.count(count)
    name = unit if count == 1 else {"search": "searches"}.get(unit, f"{unit}s")
    return f"{many} {name}{f' ({kind})' if kind else ''}"


def _cost(record: UsageRecord) -> str:
    used = record.measure or (record.input_tokens, record.output_tokens) != (None, None)
    if used and record.cost_micros is None:
        return "unknown"
    return text.money(record.cost_micros, record.currency)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
