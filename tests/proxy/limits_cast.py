"""A tenant with limits: a REST API, an AI API and a prompt, on scripted upstreams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
from proxy_servers import Call, answer

from contract import keys, snapshot
from contract.counters import read
from contract.policies import Limit

PRICES = snapshot.Prices(input=1_000_000, output=2_000_000)
"""A token of input costs one micro-unit of USD, one of output two."""


def planned(site: Any, *policies: Limit) -> dict[str, Any]:
    """Changes of a snapshot: these limits for everybody's plan."""
    plan = msgspec.structs.replace(site.snapshot.plans[0], policies=policies)
    return {"plans": (plan,)}


def with_ai(site: Any, port: int, prices: snapshot.Prices = PRICES) -> dict[str, Any]:
    """Changes of a snapshot: models at ``/v1`` and a prompt at ``/ask``, open to the same key."""
    sub = site.snapshot.subscriptions[0]
    deployment = snapshot.Deployment("d", "p", "real", prices=prices)
    prompt = snapshot.Prompt(
        id="ask", name="ask", version=1, version_id="ask-1", model_id="m",
        messages=(snapshot.PromptMessage("user", "Say {{ word }}."),),
        variables=(snapshot.PromptVariable("word"),), parameters={"max_tokens": 100},
    )  # fmt: skip
    return {
        "providers": (snapshot.Provider("p", "P", "openai", f"http://127.0.0.1:{port}/v1"),),
        "models": (snapshot.AIModel("m", "gpt", ("ai",), (deployment,)),),
        "prompts": (prompt,),
        "apis": (
            site.snapshot.apis[0],
            snapshot.Api("ai", "AI", "ai", "/v1"),
            snapshot.Api("ask", "Ask", "prompt", "/ask", prompt_id="ask"),
        ),
        "subscriptions": (
            sub,
            msgspec.structs.replace(sub, id="sub-ai", api_id="ai"),
            msgspec.structs.replace(sub, id="sub-ask", api_id="ask"),
        ),
    }


def known(site: Any) -> None:
    """The tenant's calendar counters hold what was used."""
    site.valkey.client().set(keys.limits_rebuilt(site.snapshot.tenant_id), 1)


async def chat(site: Any, **fields: Any) -> Any:
    body = {"model": "gpt", "messages": [{"role": "user", "content": "Hello"}]} | fields
    return await site.call("/v1/chat/completions", "POST", json=body)


def model(*, input_tokens: int | None = 10, output_tokens: int = 20, seconds: float = 0.0) -> Any:
    """A provider that answers a chat with this usage, or without any."""
    usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}
    body = json.dumps(whole if input_tokens is None else whole | {"usage": usage}).encode()

    async def script(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(answer(body, "200 OK", "Content-Type: application/json"))

    return script


async def counted(site: Any, measure: str, subject: str, span: str) -> tuple[int, int]:
    """Used and reserved of a counter of the site's tenant."""
    client = site.valkey.client()
    key = keys.limit_counter(site.snapshot.tenant_id, measure, subject, span)
    seconds, micros = client.time()
    now = seconds * 1_000_000 + micros
    window = int(span) if span.isdigit() else 0
    reading = read(client.hgetall(key), client.hgetall(keys.limit_held(key)), window, now)
    return reading.used, reading.reserved
