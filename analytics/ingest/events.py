"""From a stream entry to what the tables take, or to the reason why it cannot be taken.

This runs for every call. Ids, names and outcomes recur in nearly every event, so their
checked and escaped form is kept, and looked up by all of them together.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from analytics.models.rollups import NOTHING
from contract.usage import LONGEST_ROUTED, UsageEvent, decode

MOST = 1 << 48
"""No count of bytes, tokens, microseconds or micro-units is larger: what is, is nonsense."""

LONGEST_CURRENCY = 8
"""It is part of a unique key, which has room for little."""

NONE = NOTHING.hex
"""Stands in a roll-up's key for an id that the call did not have."""

COLUMNS = (
    "at, id, path, request_bytes, response_bytes, total_us, upstream_us, first_byte_us, streamed, "
    "abandoned, method, status, error_code, tenant_id, api_id, route_id, application_id, key_id, "
    "plan_id, model_id, model, provider_id, deployment_id, prompt_id, prompt_version, currency, "
    "input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_micros, attempts, "
    "end_user, routed, adapted, cache_write_tokens, saved_micros, measure, measured, measured_kind"
)
"""Of a record, in the order of ``Call.line``."""

_KEPT = 50_000
_UUID = re.compile(r"[0-9a-f]{32}")
_SPECIAL = re.compile(r"[\\\t\n\r\0]")
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": "\N{REPLACEMENT CHARACTER}"}
)
_FIVE = "\t".join(["%d"] * 5)
_FLAGS = {(a, b): f"{a:d}\t{b:d}" for a in (False, True) for b in (False, True)}
_NO_TOKENS = "\t".join([r"\N"] * 5)
_NO_AI = "\t\t\\N\t\\N"
_NOT_MEASURED = "\t\\N\t"

LONGEST_NOTE, LONGEST_MEASURE = 200, 60
"""Characters of ``adapted``, and of a unit and of a kind of what is measured."""


class Unusable(ValueError):
    """The entry can never be recorded; the message says why."""


class Call(NamedTuple):
    """``who`` is (tenant, API, application, plan), ``what`` is (model, provider, deployment,
    prompt, currency); ids are in hex, ``NONE`` for nothing. ``line`` is the record in COPY's text
    format, without its end."""

    id: str
    who: tuple[str, ...]
    what: tuple[str, ...]
    event: UsageEvent
    line: str


def parse(body: bytes, oldest: int, newest: int) -> Call:
    """``body`` is what ``contract.usage.encode`` made; the limits are in Unix microseconds.

    Raises Unusable.
    """
    try:
        event = decode(body)
    except msgspec.DecodeError as error:
        raise Unusable(f"This is no usage event: {error}") from None
    if event.at < oldest:
        raise Unusable("It is older than records are kept.")
    if event.at > newest:
        raise Unusable("It is from the future.")
    identifier = event.id if _UUID.fullmatch(event.id) else _hex(event.id, "id")
    who, who_text = _who(
        event.tenant_id,
        event.api_id,
        event.route_id,
        event.application_id,
        event.key_id,
        event.plan_id,
    )
    what, what_text = _what(
        event.model_id,
        event.model,
        event.provider_id,
        event.deployment_id,
        event.prompt_id,
        event.prompt_version,
        event.currency,
    )
    numbers = _checked(
        event.request_bytes,
        event.response_bytes,
        event.total_us,
        event.upstream_us,
        event.first_byte_us,
    )
    minute, microseconds = divmod(event.at, 60_000_000)
    line = (
        f"{_minute(minute)}{microseconds / 1e6:09.6f}+00\t{identifier}\t{escaped(event.path)}\t"
        f"{_FIVE % numbers}\t{_FLAGS[event.streamed, event.abandoned]}\t"
        f"{_outcome(event.method, event.status, event.error_code)}\t"
        f"{who_text}\t{what_text}\t{_tokens(event)}\t{_attempts(event.attempts)}\t"
        f"{escaped(event.end_user)}\t{_ai(event)}\t{_measured(event)}"
    )
    return Call(identifier, who, what, event, line)


@lru_cache(_KEPT)
def _minute(minutes: int) -> str:
    """All of a time in UTC but its seconds."""
    return f"{datetime.fromtimestamp(minutes * 60, UTC):%Y-%m-%d %H:%M:}"


@lru_cache(_KEPT)
def _who(
    tenant: str, api: str, route: str, application: str, key: str, plan: str
) -> tuple[tuple[str, ...], str]:
    """The part of a roll-up's key, and the columns."""
    if not tenant:
        raise Unusable("It has no tenant_id.")
    ids = [
        _hex(tenant, "tenant_id"),
        _hex_or_none(api, "api_id"),
        _hex_or_none(route, "route_id"),
        _hex_or_none(application, "application_id"),
        _hex_or_none(key, "key_id"),
        _hex_or_none(plan, "plan_id"),
    ]
    return (ids[0], ids[1], ids[3], ids[5]), "\t".join(map(_or_null, ids))


@lru_cache(_KEPT)
def _what(
    model_id: str, model: str, provider: str, deployment: str, prompt: str, version: int, cur: str
) -> tuple[tuple[str, ...], str]:
    """As ``_who``."""
    if len(cur) > LONGEST_CURRENCY:
        raise Unusable("Its currency is no code.")
    if not 0 <= version < 1 << 31:
        raise Unusable("Its prompt_version cannot be.")
    model_id = _hex_or_none(model_id, "model_id")
    provider = _hex_or_none(provider, "provider_id")
    deployment = _hex_or_none(deployment, "deployment_id")
    prompt = _hex_or_none(prompt, "prompt_id")
    columns = [
        _or_null(model_id),
        escaped(model),
        _or_null(provider),
        _or_null(deployment),
        _or_null(prompt),
        str(version),
        escaped(cur),
    ]
    return (model_id, provider, deployment, prompt, escaped(cur)), "\t".join(columns)


@lru_cache(_KEPT)
def _outcome(method: str, status: int, error_code: str) -> str:
    if not 100 <= status <= 599:
        raise Unusable(f"There is no status {status}.")
    return f"{escaped(method)}\t{status}\t{escaped(error_code)}"


@lru_cache(_KEPT)
def _attempts(attempts: int | None) -> str:
    if attempts is None:
        return r"\N"
    if not 0 <= attempts < 1 << 15:
        raise Unusable(f"It cannot have been sent {attempts} times.")
    return str(attempts)


def _tokens(event: UsageEvent) -> str:
    numbers = (
        event.input_tokens,
        event.output_tokens,
        event.cached_tokens,
        event.reasoning_tokens,
        event.cost_micros,
    )
    if numbers == (None, None, None, None, None):
        return _NO_TOKENS
    _checked(*[number or 0 for number in numbers])
    return "\t".join([r"\N" if number is None else str(number) for number in numbers])


def _ai(event: UsageEvent) -> str:
    """How a model's deployment was chosen and told, what it wrote to a cache, what it saved."""
    written, saved = event.cache_write_tokens, event.saved_micros
    if written is None and saved is None and not event.routed and not event.adapted:
        return _NO_AI
    _checked(written or 0, abs(saved or 0))
    numbers = [r"\N" if number is None else str(number) for number in (written, saved)]
    return "\t".join(
        [escaped(event.routed[:LONGEST_ROUTED]), escaped(event.adapted[:LONGEST_NOTE]), *numbers]
    )


def _measured(event: UsageEvent) -> str:
    measured = event.measured
    if measured is None:
        return _NOT_MEASURED
    _checked(measured.count or 0)
    count = r"\N" if measured.count is None else str(measured.count)
    unit, kind = (escaped(said[:LONGEST_MEASURE]) for said in (measured.unit, measured.kind))
    return f"{unit}\t{count}\t{kind}"


def _checked(*numbers: int) -> tuple[int, ...]:
    if min(numbers) < 0 or max(numbers) >= MOST:
        raise Unusable("It counts less than nothing or more than there can be.")
    return numbers


def _hex(text: str, field: str) -> str:
    """The id as 32 hex digits."""
    plain = text.replace("-", "").lower()
    if not _UUID.fullmatch(plain):
        raise Unusable(f"Its {field} is no UUID: {text[:80]!r}.")
    return plain


def _hex_or_none(text: str, field: str) -> str:
    return _hex(text, field) if text else NONE


def _or_null(identifier: str) -> str:
    return identifier if identifier != NONE else r"\N"


def escaped(text: str) -> str:
    """As COPY's text format wants it; PostgreSQL has no room for the character 0."""
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text
