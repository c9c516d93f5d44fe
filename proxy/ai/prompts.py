"""A published prompt: ``POST`` its listen path with the variables as a JSON object.

The answer is JSON, or server-sent events where ``Accept`` or ``?stream=true`` asks for
them. A variable's value goes into the text of one message and nowhere else, so whatever
it holds, it can neither add a message nor be taken for a template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from contract.templates import render as fill
from proxy.ai import tap
from proxy.ai.calls import account, call, field, read_error
from proxy.ai.compiled import CompiledPrompt
from proxy.ai.errors import (
    InvalidJson,
    InvalidVariables,
    ModelUnavailable,
    OutputInvalid,
    ProviderBusy,
    ProviderRefused,
)
from proxy.errors import (
    Headers,
    MethodNotAllowed,
    RouteNotFound,
    UpstreamBroken,
    UpstreamError,
    render,
)

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.runtime import ApiRuntime, DeploymentRuntime, TenantRuntime
    from proxy.upstream.pool import Response

BODY_LIMIT = 8_388_608
ANSWER_LIMIT = 16_777_216

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


class _Text(Struct):
    content: str | None = None


class _Choice(Struct):
    """Of a whole answer (``message``) or of a chunk (``delta``)."""

    index: int = 0
    message: _Text = msgspec.field(default_factory=_Text)
    delta: _Text = msgspec.field(default_factory=_Text)
    finish_reason: str | None = None


class _Answer(Struct):
    choices: list[_Choice] = []
    usage: tap.Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


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
    values = read_variables(prompt, await exchange.read_body(BODY_LIMIT))
    request = build(prompt, values)
    model = tenant.models_by_id.get(prompt.prompt.model_id)
    if model is None:
        raise ModelUnavailable
    streamed = _wants_stream(exchange)
    if streamed:
        request |= {"stream": True, "stream_options": {"include_usage": True}}

    def send(deployment: DeploymentRuntime) -> tuple[bytes, Headers, bytes]:
        to = deployment.provider.destination
        body = _encode(request | {"model": deployment.deployment.model})
        return to.chat, to.wire.headers(to.authorization, {}), body

    response, deployment = await call(exchange, gateway, model, send)
    try:
        if response.status >= 400:
            await _refuse(exchange, response)
        kind = field(response, b"content-type") or b""
        if streamed and kind.startswith(b"text/event-stream"):
            await _stream(exchange, response, deployment, prompt)
        else:
            await _whole(exchange, response, deployment, prompt)
    finally:
        response.close()


def read_variables(prompt: CompiledPrompt, body: bytes) -> dict[str, str]:
    """Every variable's text. Raises InvalidJson, and InvalidVariables naming all at fault.

    Numbers and booleans are put in as their JSON text, exactly as sent.
    """
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
        raise InvalidVariables(f"Variables at fault: {'; '.join(faults)}.")
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


async def _refuse(exchange: Exchange, response: Response) -> None:
    """Raises what a client of a REST API can make sense of."""
    _, message = await read_error(exchange, response)
    if response.status == 429:
        retry_after = field(response, b"retry-after")
        raise ProviderBusy(headers=[(b"retry-after", retry_after)] if retry_after else None)
    said = f": {message}" if message else "."
    raise ProviderRefused(f"The AI provider answered {response.status}{said}")


def _summary(
    exchange: Exchange, prompt: CompiledPrompt, finish_reason: str | None
) -> dict[str, Any]:
    return {
        "prompt": {"name": prompt.prompt.name, "version": prompt.prompt.version},
        "model": exchange.model,
        "usage": {
            "input_tokens": exchange.input_tokens,
            "output_tokens": exchange.output_tokens,
        },
        "finish_reason": finish_reason,
    }


async def _whole(
    exchange: Exchange, response: Response, deployment: DeploymentRuntime, prompt: CompiledPrompt
) -> None:
    data = await response.read(ANSWER_LIMIT)
    try:
        answer = _decode_answer(data)
        choice = answer.choices[0]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError) as error:
        raise UpstreamBroken("The AI provider's answer has not the form it should have.") from error
    account(exchange, deployment, answer.usage)
    text = choice.message.content or ""
    output: str | Raw = _structured(text, choice.finish_reason) if prompt.structured else text
    body = _encode({"output": output} | _summary(exchange, prompt, choice.finish_reason))
    headers = [(b"content-type", b"application/json")]
    await exchange.respond(200, headers, body)


def _structured(text: str, finish_reason: str | None) -> Raw:
    """The model's JSON as it wrote it. Raises OutputInvalid where it is none."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise OutputInvalid(finish_reason) from error
    return Raw(text.encode())


async def _stream(
    exchange: Exchange, response: Response, deployment: DeploymentRuntime, prompt: CompiledPrompt
) -> None:
    exchange.streamed = True
    watch = tap.StreamTap(drop_usage=False)
    finish_reason: str | None = None
    try:
        await exchange.start(
            200, [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        )
        async for chunk in response:
            events, reason = _deltas(watch.feed(chunk))
            finish_reason = reason or finish_reason
            if events:
                await exchange.write(events)
        events, reason = _deltas(watch.end())
        finish_reason = reason or finish_reason
        account(exchange, deployment, watch.usage)
        last = b"event: done\ndata: " + _encode(_summary(exchange, prompt, finish_reason))
        last = events + last + b"\n\n"
    except UpstreamError as error:
        account(exchange, deployment, watch.usage)
        exchange.error_code = error.code
        last = b"event: error\ndata: " + render(error, exchange)[1] + b"\n\n"
    await exchange.finish(last)


def _deltas(lines: bytes) -> tuple[bytes, str | None]:
    """Our events for the provider's whole lines, and the finish reason if one was among them."""
    events, finish_reason = [], None
    for line in lines.splitlines():
        if not line.startswith(b"data:") or line.endswith(b"[DONE]"):
            continue
        try:
            answer = _decode_answer(line[5:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        for choice in answer.choices:
            if choice.index == 0:
                finish_reason = choice.finish_reason or finish_reason
                if choice.delta.content:
                    text = _encode({"delta": choice.delta.content})
                    events.append(b"data: " + text + b"\n\n")
    return b"".join(events), finish_reason
