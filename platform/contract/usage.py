"""The usage event: what the data plane tells of one call, exactly once.

Times are integers: ``at`` in Unix microseconds, durations in microseconds, cost in
micro-units of the currency. Token fields follow the OpenTelemetry GenAI conventions
(``gen_ai.usage.*``). Empty strings and None mean that the call had no such thing.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

NOT_COUNTED = frozenset(
    {
        "body_too_large",
        "budget_exceeded",
        "concurrency_limited",
        "limits_unavailable",
        "price_unknown",
        "quota_exceeded",
        "rate_limit_exceeded",
        "token_limit_exceeded",
        "user_required",
    }
)
"""Error codes of calls that had a plan, or needed none, and were refused before limits on calls
counted them. Whoever sums records up to know what such a limit has counted leaves them out."""

BATCH = "BATCH"
"""The method of the record of what a batch used. Limits on calls have not counted it: the calls
that created the batch and asked for it have records of their own."""

LONGEST_ROUTED = 500


class Measured(Struct, frozen=True, gc=False, array_like=True):
    """What a call did that may be billed otherwise than by the token.

    ``unit`` is ``picture`` (made), ``millisecond`` (of sound heard), ``character`` (spoken) or
    ``search`` (by a reranker, as the provider counts them). ``kind``: of pictures, the size and the
    quality, like ``1024x1536/high``; ``auto`` stands for what nobody said.
    """

    unit: str
    count: int | None = None
    """None: not known."""
    kind: str = ""


class UsageEvent(Struct, frozen=True, array_like=True):
    id: str
    """Unique; the same event shipped twice is counted once. Also the ``X-Request-Id``."""
    at: int
    tenant_id: str
    method: str
    path: str
    """As called, without the query, at most 512 characters."""
    status: int
    """What the client was sent; 499 where it left before an answer."""
    error_code: str = ""
    api_id: str = ""
    route_id: str = ""
    application_id: str = ""
    key_id: str = ""
    plan_id: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    total_us: int = 0
    """From the request's head to the answer's last byte."""
    upstream_us: int = 0
    """Of that, spent waiting for the upstream."""
    first_byte_us: int = 0
    """From the request's head to the answer's first byte."""
    streamed: bool = False
    abandoned: bool = False
    """The client left before the answer was complete."""
    model_id: str = ""
    model: str = ""
    """Public model name."""
    provider_id: str = ""
    deployment_id: str = ""
    prompt_id: str = ""
    prompt_version: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_micros: int | None = None
    """None where the price or the usage is unknown, which is not the same as 0."""
    currency: str = ""

    # An event is an array, so what is added later goes to its end: whoever writes or reads it
    # by an older version of this knows nothing of that, and takes it for what stands here.
    attempts: int | None = None
    """Requests sent upstream for it. None where that is not known: see ``gateway_lost``."""
    end_user: str = ""
    """``keys.user_digest`` of whom it was made for, where a limit for each end user applies."""
    routed: str = ""
    """Why the model's deployment was chosen, which were passed over for it and which failed before;
    at most ``LONGEST_ROUTED`` characters."""
    adapted: str = ""
    """What the provider could not be told as the client asked it; at most 200 characters."""
    cache_write_tokens: int | None = None
    saved_micros: int | None = None
    """How much more the same usage costs at the model that the called one is compared with (see
    ``Routing.compare_with``); less than 0 where it costs less, None where that is not known."""
    measured: Measured | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UsageEvent)


def encode(event: UsageEvent) -> bytes:
    return _encoder.encode(event)


def decode(blob: bytes) -> UsageEvent:
    """Raises msgspec.DecodeError for anything else than an encoded event."""
    return _decoder.decode(blob)
