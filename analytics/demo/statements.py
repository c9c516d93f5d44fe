"""The SQL that makes a day of calls, all of it inside PostgreSQL."""

from __future__ import annotations

# Random numbers are drawn before anything is joined, so that a seed gives the same calls
# whatever plan PostgreSQL chooses. Three uniform ones added up are normal enough. OFFSET 0
# keeps each step from being worked out again wherever the next one speaks of it.
RECORDS = """
INSERT INTO analytics_usagerecord (
    at, id, tenant_id, method, path, status, error_code, api_id, route_id, application_id,
    key_id, plan_id, request_bytes, response_bytes, total_us, upstream_us, first_byte_us,
    streamed, abandoned, model_id, model, provider_id, deployment_id, prompt_id,
    prompt_version, input_tokens, output_tokens, cached_tokens, cost_micros, currency, attempts,
    demo)
WITH drawn AS MATERIALIZED (
    SELECT number, random() AS slot, random() AS moment, random() AS kind, random() AS fate,
        random() AS choice, random() AS a, random() AS b, random() AS c, random() AS d,
        random() AS e, random() AS f
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
),
profile AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(profiles)s::jsonb) AS p (
        place int, method text, path text, samples jsonb, api_id uuid, route_id uuid,
        application_id uuid, key_id uuid, plan_id uuid, model_id uuid, model text,
        provider_id uuid, deployment_id uuid, prompt_id uuid, prompt_version int,
        ok_status int, refusal text, refusal_status int, wait_us float8, spread float8,
        token_us float8, streamed float8, limited float8, client_errors float8,
        server_errors float8, abandoned float8, request_bytes float8, response_bytes float8,
        input_tokens float8, output_tokens float8, input_price bigint, output_price bigint,
        currency text)
),
placed AS (
    SELECT drawn.*, least(
        (width_bucket(slot, %(slots)s::float8[]) + moment) * %(slot_seconds)s,
        %(last_second)s) AS second
    FROM drawn OFFSET 0
),
met AS (
    SELECT placed.*, p.*, (a + b + c - 1.5) * 2 AS luck,
        coalesce(p.api_id = %(fails_api)s::uuid, false)
            AND second BETWEEN %(fails_from)s AND %(fails_to)s AS failing,
        coalesce(p.application_id = %(limits_application)s::uuid, false)
            AND second BETWEEN %(limits_from)s AND %(limits_to)s AS limiting
    FROM placed JOIN profile p
        ON p.place = width_bucket(kind, %(kinds)s::float8[])
    OFFSET 0
),
rates AS (
    SELECT met.*,
        CASE WHEN limiting THEN %(limits_rate)s ELSE limited END AS to_limited,
        CASE WHEN failing THEN %(fails_rate)s ELSE server_errors END AS to_failed
    FROM met OFFSET 0
),
fated AS (
    SELECT rates.*,
        CASE WHEN refusal <> '' THEN 'refused'
            WHEN fate < to_limited THEN 'limited'
            WHEN fate < to_limited + client_errors THEN 'mistaken'
            WHEN fate < to_limited + client_errors + to_failed THEN 'failed'
            WHEN fate < to_limited + client_errors + to_failed + abandoned THEN 'left'
            ELSE 'answered' END AS outcome
    FROM rates OFFSET 0
),
counted AS (
    SELECT fated.*, outcome IN ('answered', 'left') AS served,
        choice < streamed AND outcome IN ('answered', 'left') AS streams,
        CASE WHEN input_tokens > 0 AND outcome IN ('answered', 'left')
            THEN greatest(1, input_tokens * exp(1.2 * (d + e + f - 1.5)))::bigint END AS tokens_in,
        CASE WHEN input_tokens > 0 AND outcome IN ('answered', 'left')
            THEN (output_tokens * exp(0.5 * luck)
                * CASE outcome WHEN 'left' THEN e ELSE 1 END)::bigint END AS tokens_out,
        (300 + 500 * d)::bigint AS gateway_us
    FROM fated OFFSET 0
),
timed AS (
    SELECT counted.*,
        CASE WHEN outcome IN ('refused', 'limited') THEN 0
            WHEN outcome = 'failed' AND e < 0.3 THEN 30000000
            ELSE wait_us * exp(spread * luck) * CASE WHEN failing THEN %(slower)s ELSE 1 END
                + token_us * coalesce(tokens_out, 0) END::bigint AS waited
    FROM counted OFFSET 0
)
SELECT
    %(start)s::timestamptz + make_interval(secs => second),
    md5(%(salt)s || number)::uuid,
    %(tenant)s::uuid, method,
    replace(path, '{}', samples ->> floor(choice * jsonb_array_length(samples))::int),
    CASE outcome WHEN 'refused' THEN refusal_status WHEN 'limited' THEN 429
        WHEN 'mistaken' THEN CASE WHEN model_id IS NULL THEN 404 ELSE 400 END
        WHEN 'failed' THEN CASE WHEN e < 0.3 THEN 504 WHEN e < 0.8 THEN 502 ELSE 503 END
        WHEN 'left' THEN CASE WHEN streams THEN 200 ELSE 499 END
        ELSE ok_status END,
    CASE outcome WHEN 'refused' THEN refusal WHEN 'limited' THEN 'rate_limit_exceeded'
        WHEN 'mistaken' THEN CASE WHEN model_id IS NULL THEN '' ELSE 'invalid_request' END
        WHEN 'failed' THEN CASE
            WHEN e < 0.3 THEN 'upstream_timeout'
            WHEN e < 0.8 THEN CASE WHEN model_id IS NULL THEN 'upstream_unreachable'
                ELSE 'provider_error' END
            ELSE CASE WHEN model_id IS NULL THEN 'no_healthy_target'
                ELSE 'model_unavailable' END END
        WHEN 'left' THEN CASE WHEN streams THEN '' ELSE 'client_gone' END
        ELSE '' END,
    api_id, route_id, application_id, key_id, plan_id,
    (request_bytes * (0.6 + 0.8 * f))::bigint,
    CASE WHEN outcome = 'answered' THEN (response_bytes * (0.6 + 0.8 * e))::bigint
        WHEN outcome = 'left' THEN (response_bytes * e / 2)::bigint ELSE 240 END,
    waited + gateway_us, waited,
    CASE WHEN streams THEN gateway_us + (wait_us * exp(spread * luck) * 0.6)::bigint
        ELSE waited + gateway_us END,
    streams, outcome = 'left', model_id, model, provider_id,
    CASE WHEN outcome IN ('refused', 'limited', 'mistaken') THEN NULL ELSE deployment_id END,
    prompt_id, prompt_version, tokens_in, tokens_out,
    CASE WHEN tokens_in IS NOT NULL AND f < 0.2 AND output_tokens > 0
        THEN tokens_in / 3 END,
    CASE WHEN input_price IS NOT NULL AND (output_price IS NOT NULL OR output_tokens = 0)
        THEN (tokens_in * input_price + tokens_out * coalesce(output_price, 0) + 500000)
            / 1000000 END,
    CASE WHEN tokens_in IS NOT NULL THEN currency ELSE '' END,
    CASE WHEN outcome IN ('refused', 'limited') OR (outcome = 'failed' AND e >= 0.8) THEN 0
        WHEN outcome = 'failed' THEN 1 + (c < 0.3)::int ELSE 1 + (c < 0.01)::int END,
    true
FROM timed ORDER BY second
"""
