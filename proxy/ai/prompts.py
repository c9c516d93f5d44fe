"""A published prompt: ``POST`` its listen path with the variables as a JSON object.

The answer is JSON, or server-sent events where ``Accept`` or ``?stream=true`` asks for
them. A variable's value goes into the text of one message and nowhere else, so whatever
it holds, it can neither add a message nor be taken for a template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from contract.templates import render as fill
from proxy.ai import passing, prompt_answers
from proxy.ai.asking import Asking
from proxy.ai.calls import call
from proxy.ai.compiled import CompiledPrompt
from proxy.ai.doors import Door
from proxy.ai.errors import InvalidJson, InvalidVariables, ModelUnavailable
from proxy.ai.values import check
from proxy.errors import MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ApiRuntime, TenantRuntime

BODY_LIMIT = 8_388_608
MOST_NAMED = 50
"""Variables at fault, of which clients may send any number."""

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


_DOOR = Door("chat", "chat", "chat")


async def serve(exchange: Exchange, gateway: Gateway) -> None:
    """Answers a call of a ``prompt`` API. Raises GatewayErrors."""
    api: ApiRuntime = exchange.api  # type: ignore[assignment]
    await gateway.admit(exchange, api)
    prompt: CompiledPrompt = api.prompt  # type: ignore[assignment]
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    exchange.prompt_id = prompt.prompt.id
    exchange.prompt_version = prompt.prompt.version
    if exchange.rest not in ("", "/"):
        raise RouteNotFound
    if exchange.method != "POST":
        raise MethodNotAllowed(["POST"])
    values = read_variables(prompt, await gateway.bodies.read(exchange, BODY_LIMIT))
    request = build(prompt, values)
    model = tenant.models_by_id.get(prompt.prompt.model_id)
    if model is None:
        raise ModelUnavailable
    streamed = _wants_stream(exchange)
    if streamed:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    body = _encode(request | {"model": model.name})
    # Who asks here never sees the provider's stream, so its usage need not be hidden.
    asked = passing.Asked(model.name, streamed, passing.StreamOptions(include_usage=True))
    asking = Asking(_DOOR, body, asked)
    attempt = await call(exchange, gateway, model, asking)
    try:
        await prompt_answers.answer(exchange, asking, attempt, prompt)
    finally:
        attempt.close()


def read_variables(prompt: CompiledPrompt, body: bytes) -> dict[str, str]:
    """Every variable's text. Raises InvalidJson, TooManyValues, and InvalidVariables naming those
    at fault.

    Numbers and booleans are put in as their JSON text, exactly as sent.
    """
    check(body)
    try:
        given = _decode_fields(body)
    except msgspec.ValidationError as error:
        raise InvalidVariables("The body must be a JSON object of variables.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(str(error)) from error
    faults = [f"'{name[:100]}' is unknown" for name in given if name not in prompt.variables]
    values: dict[str, str] = {}
    for name, variable in prompt.variables.items():
        raw = given.get(name)
        if raw is None:
            values[name] = variable.default
            if variable.required:
                faults.append(f"'{name}' is missing")
            continue
        text = _text(bytes(raw))
        if text is None:
            faults.append(f"'{name}' must be text, a number or a boolean")
        elif len(text) > variable.max_length:
            faults.append(f"'{name}' is longer than {variable.max_length} characters")
        else:
            values[name] = text
    if faults:
        more = f"; and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
        raise InvalidVariables(f"Variables at fault: {'; '.join(faults[:MOST_NAMED])}{more}.")
    return values


def _text(raw: bytes) -> str | None:
    """None for null, arrays and objects."""
    if raw[:1] == b'"':
        try:
            return _decode_text(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidJson(str(error)) from error
    return None if raw[:1] in b"n[{" else raw.decode()


def build(prompt: CompiledPrompt, values: dict[str, str]) -> dict[str, Any]:
    """The request for the model, still without the model's name."""
    messages = [
        {"role": role, "content": fill(template, values)} for role, template in prompt.messages
    ]
    fixed = {"messages": messages, "stream": False}
    return prompt.prompt.parameters | fixed


def _wants_stream(exchange: Exchange) -> bool:
    accept = exchange.headers.get(b"accept", b"")
    return b"text/event-stream" in accept or b"stream=true" in exchange.query.split(b"&")
