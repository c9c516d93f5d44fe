"""Answers as examples in the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_COVERED = {"start": "2026-03-14T00:00:00Z", "end": "2026-03-15T00:00:00Z"}
FIGURES: dict[str, Any] = {
    "calls": 1204,
    "errors": 37,
    "error_rate": 0.0307,
    "client_errors": 31,
    "server_errors": 6,
    "limited": 12,
    "abandoned": 2,
    "p50_us": 41300,
    "p95_us": 212000,
    "p99_us": 655000,
    "mean_us": 63100,
    "mean_upstream_us": 61900,
    "mean_first_byte_us": 58200,
    "input_tokens": 80120,
    "output_tokens": 21034,
    "cached_tokens": 1024,
    "reasoning_tokens": 0,
    "cache_write_tokens": 0,
    "p50_first_token_us": 312000,
    "p95_first_token_us": 890000,
    "mean_first_token_us": 401000,
    "tokens_per_second": 71.4,
    "streams": 88,
    "cost_micros": {"USD": 245310},
    "saved_micros": {"USD": 81200},
    "unpriced": 0,
    "request_bytes": 402113,
    "response_bytes": 9120331,
}
_API = {"id": "7c3c1c5e-5d2c-4a53-9e55-0d6d8e5b0a11", "name": "Orders"}

TOTALS = OpenApiExample("A day", value=_COVERED | FIGURES, response_only=True)
TOP = OpenApiExample(
    "The API with the most calls",
    value=_COVERED | {"by": "api", "order": "calls", "results": [_API | FIGURES]},
    response_only=True,
)
SERIES = OpenApiExample(
    "Two hours",
    value={
        "start": "2026-03-14T15:00:00Z",
        "end": "2026-03-14T17:00:00Z",
        "interval": "hour",
        "time_zone": "UTC",
        "metrics": ["calls", "p95_us"],
        "by": None,
        "series": [
            {
                "id": None,
                "name": None,
                "points": [
                    {"start": "2026-03-14T15:00:00Z", "calls": 52, "p95_us": 198000},
                    {"start": "2026-03-14T16:00:00Z", "calls": 0, "p95_us": None},
                ],
            }
        ],
    },
    response_only=True,
)
RECORD: dict[str, Any] = {
    "id": "5f3a9c1e-77d2-0b11-0000-000000000042",
    "at": "2026-03-14T15:09:26.535897Z",
    "method": "GET",
    "path": "/orders/items/42",
    "status": 200,
    "error_code": "",
    "api": _API,
    "route": {
        "id": "b9a0c2de-61f0-4f0e-8f0a-4d6f7a1f2c33",
        "name": "GET /orders/items/{id}",
    },
    "application": {"id": "2d1c8f64-0f1b-4a0f-9a43-5b7f5a0f9c21", "name": "Shop"},
    "key": {"id": "90c2a3b4-3a6e-4c39-8d57-6f0d0c1b2a10", "name": "hub_9xY2…"},
    "plan": {"id": "c0ffee00-0b0b-4c0c-8d0d-1e1e2f2f3a3a", "name": "Free"},
    "model": None,
    "provider": None,
    "deployment": None,
    "prompt": None,
    "prompt_version": 0,
    "request_bytes": 0,
    "response_bytes": 611,
    "total_us": 41300,
    "upstream_us": 40120,
    "first_byte_us": 40980,
    "attempts": 1,
    "streamed": False,
    "abandoned": False,
    "input_tokens": None,
    "output_tokens": None,
    "cached_tokens": None,
    "reasoning_tokens": None,
    "cache_write_tokens": None,
    "cost_micros": None,
    "saved_micros": None,
    "measure": "",
    "measured": None,
    "measured_kind": "",
    "currency": "",
    "routed": "",
    "adapted": "",
    "demo": False,
}
RECORD_EXAMPLE = OpenApiExample("A call", value=RECORD, response_only=True)
RECORDS = OpenApiExample(
    "A page",
    value={
        "next": "https://tenant.example/api/usage/records/?start=2026-03-14T00%3A00%3A00Z"
        "&end=2026-03-15T00%3A00%3A00Z&before=1773500966535897-5f3a9c1e77d20b110000000000000042",
        "previous": None,
        "searched_to": None,
        "results": [RECORD],
    },
    response_only=True,
)
