"""One call to a model: who serves it, and what is done when one fails.

The candidates come from ``proxy.ai.choose``. One that cannot be reached, breaks off or is too late
before the first piece of its answer (its end, where it is read whole), cannot be understood,
refuses its credential, answers 402, 429 or 5xx, or no longer has the model makes way for the next,
until the call's time is up. So does one whose context is too small, for those that are not known to
have as little, and one in whose account there is not what the request only names. One whose rate
limits would refuse the call is not asked. The last failure is passed on. A deployment that cannot
be reached, or is too late, several times in a row is left out for a while, and after a 429 or 5xx
it is used last, for as long as the provider says.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Iterable, Iterator
from math import inf
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any

import msgspec

from contract.snapshot import Breaker
from contract.usage import LONGEST_ROUTED
from proxy.ai import choose, declared, delivered, reasons, sending
from proxy.ai.cost import cost_micros, saved_micros, sum_micros
from proxy.ai.errors import (
    COMPRESSED,
    AnswerUnreadable,
    FormatUnsupported,
    ModelUnavailable,
    ParameterUnsupported,
    ProviderLimitReached,
    ProviderRefused,
    ProviderRejectedCredentials,
    ProviderSignInFailed,
)
from proxy.ai.estimate import about
from proxy.ai.formats.known import GONE, TOO_LONG, elsewhere
from proxy.ai.formats.operations import family
from proxy.ai.formats.registry import FORMATS
from proxy.ai.middle import Begin, Counted, Failed, Other, Usage
from proxy.errors import (
    AddressForbidden,
    ConnectFailed,
    GatewayError,
    UpstreamBroken,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from proxy.upstream.pool import MAX_CONNECTIONS, MAX_WAITING

if TYPE_CHECKING:
    from proxy.ai.asking import Asking, Told
    from proxy.ai.choose import Candidate
    from proxy.ai.middle import Fault
    from proxy.ai.track import Seen
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.limits import Held
    from proxy.runtime import DeploymentRuntime, ModelRuntime, TenantRuntime
    from proxy.upstream.pool import Response

BREAKER = Breaker()
REST_SECONDS, MOST_REST_SECONDS = 2.0, 300.0
"""How long others go before a deployment that answered 429 or 5xx and did not say itself."""
BAD_REQUEST = 400
GOOGLES_KEY = b"API_KEY_INVALID"
"""The reason of Google's error, of status 400, where it is the key that it does not take."""
ERROR_LIMIT = 1_048_576
"""Bytes of a provider's error that are read."""
ANSWER_LIMIT = 67_108_864
"""Bytes of a whole answer that is read. Images travel inside."""
_TOKEN = 4
"""Bytes of an answer's text."""
EXPLAIN = b"x-hubpo-explain"
"""Request header: the answer's head is to say why it comes from where it comes from."""


class Attempt:
    """The answer that is passed on, who gave it, and what it was asked. ``began`` is
    ``perf_counter`` when it was sent; ``close`` it in any case."""

    __slots__ = (
        "_seen",
        "answer",
        "began",
        "body",
        "deployment",
        "fault",
        "holds",
        "response",
        "told",
    )

    def __init__(
        self,
        response: Response,
        deployment: DeploymentRuntime,
        told: Told,
        seen: Seen,
        began: float,
    ) -> None:
        self._seen = seen
        self.response = response
        self.deployment = deployment
        self.told = told
        self.began = began
        self.body = b""
        """Of an answer with an error status, all of it."""
        self.answer: Any = None
        """In the middle form, where it is not passed on as it is and came whole."""
        self.fault: Fault | None = None
        """What the provider said in a stream in place of an answer."""
        self.holds: tuple[Held, Exchange] | None = None
        """Of the limits that the deployment declares, and whose call it is."""

    def close(self) -> None:
        self.response.close()
        self._seen.in_flight -= 1
        if self.holds is not None:
            self._settle(*self.holds)

    def _settle(self, held: Held, exchange: Exchange) -> None:
        """The estimate stands where nothing was reported. Whoever carried a stream on is put down
        for both."""
        if self.fault is not None or self.response.status >= BAD_REQUEST:
            declared.settle(held, 0)
        elif exchange.input_tokens is None or exchange.guessed:
            declared.settle(held, held.units[-1])
        else:
            declared.settle(held, exchange.input_tokens + (exchange.output_tokens or 0))

    def hand_over(self, to: Attempt) -> None:
        """It broke off: from here on it is the other one, which is not to be closed itself."""
        self.close()
        self._seen, self.response, self.deployment = to._seen, to.response, to.deployment
        self.told, self.began, self.holds = to.told, to.began, to.holds

    def timed(self, first_token: float, output_tokens: int | None) -> None:
        """It went well. ``first_token``: ``perf_counter`` at the answer's first piece, which came
        from another where it was handed over."""
        if first_token < self.began:
            return
        after = perf_counter() - first_token
        rate = output_tokens / after if output_tokens and after > 0.01 else None
        self._seen.timed(first_token - self.began, rate)


async def call(
    exchange: Exchange, gateway: Gateway, model: ModelRuntime, asking: Asking
) -> Attempt:
    """The response of the deployment that answered, perhaps with an error status.

    Raises ModelUnavailable, ProviderLimitReached, ProviderRejectedCredentials, ProviderRefused,
    what ``asking.tell`` raises where no deployment can be told, and what the pool raises. The
    caller closes it.
    """
    exchange.model_id = model.id
    exchange.model = model.name
    exchange.begin()
    if model.watched:
        return await _watched(exchange, gateway, model, asking)
    candidates = asking.only or choose.candidates(exchange, gateway, model, asking)
    return await first_of(exchange, gateway, asking, candidates)


async def _watched(
    exchange: Exchange, gateway: Gateway, model: ModelRuntime, asking: Asking
) -> Attempt:
    """As ``call``, of a model that is ``watched``."""
    routing, tenant = model.model.routing, exchange.tenant
    if routing.compare_with and tenant is not None:
        exchange.compared = tenant.models_by_id.get(routing.compare_with)
    weighed, wants = None, None
    first = model if exchange.instead is None else exchange.instead[0]
    if first.means and asking.only is None:
        weighed = choose.Weighed(exchange, gateway, first, asking)
        await weighed.rules()
        wants = weighed.wants
    candidates = asking.only or choose.candidates(exchange, gateway, model, asking, wants)
    if routing.on_break == "continue" and asking.stream:
        candidates = asking.others = Others(gateway, candidates)
    return await first_of(exchange, gateway, asking, candidates, weighed)


class Others:
    """The candidates that were not asked yet. ``last`` is the one that was asked last."""

    def __init__(self, gateway: Gateway, candidates: Iterable[Candidate]) -> None:
        self.gateway = gateway
        self.last: Candidate | None = None
        self._left = iter(candidates)

    def __iter__(self) -> Iterator[Candidate]:
        for candidate in self._left:
            self.last = candidate
            yield candidate


async def first_of(
    exchange: Exchange,
    gateway: Gateway,
    asking: Asking,
    candidates: Iterable[Candidate],
    weighed: choose.Weighed | None = None,
) -> Attempt:
    """As ``call``, of these. ``weighed``: fallbacks' rules may compare meanings."""
    owner = exchange.tenant.id if exchange.tenant is not None else ""
    failure: GatewayError | None = None
    attempt: Attempt | None = None
    passed: list[str] = []
    too_small, soonest = 0, inf
    try:
        for candidate in candidates:
            if asking.until and _over(asking):
                break
            deployment = candidate.deployment
            if too_small and 0 < (deployment.deployment.context_tokens or 0) <= too_small:
                passed.append(_too_small(deployment))
                continue
            held: Held | None = None
            if candidate.wait or deployment.limits is not None:
                held, wait = await _room(gateway, candidate, asking)
                if wait:
                    soonest = min(soonest, wait)
                    passed.append(
                        f"{deployment.provider.provider.name} not asked ({reasons.SPENT})"
                    )
                    if weighed is not None:
                        await weighed.fallbacks()
                    continue
            if attempt is not None:
                attempt.close()
                attempt = None
            _enter(exchange, candidate, passed)
            asking.mode = candidate.model.model.routing.unsupported
            try:
                if held is None:
                    attempt = await _attempt(exchange, gateway, deployment, asking)
                else:
                    attempt = await _metered(exchange, gateway, deployment, asking, held)
            except (ConnectFailed, AddressForbidden, UpstreamBroken, UpstreamTimeout) as error:
                if not _over(asking):
                    gateway.health.failed(deployment.id, BREAKER, owner)
                failure = error
            except (
                AnswerUnreadable,
                UpstreamOverloaded,
                ProviderSignInFailed,
                ParameterUnsupported,
                FormatUnsupported,
            ) as error:
                failure = error
            else:
                gateway.health.succeeded(deployment.id)
                rest, code = REST_SECONDS, ""
                if attempt.fault is not None or failed(attempt.response.status):
                    rest = _rest(attempt)
                elif attempt.response.status >= BAD_REQUEST and (
                    code := elsewhere(_fault(attempt))
                ):
                    if code != GONE:
                        rest = 0.0
                    if code == TOO_LONG:
                        too_small = max(too_small, deployment.deployment.context_tokens or 0)
                else:
                    try:
                        _refuse(attempt, deployment)
                    except (ProviderRejectedCredentials, ProviderRefused) as error:
                        failure, attempt = error, None
                    else:
                        if passed and exchange.guessed:
                            _forget(exchange)
                        return attempt
                if rest:
                    gateway.health.rests(deployment.id, rest, owner)
            what = (
                failure.code
                if attempt is None and failure
                else f"{_status(attempt)} {code}".strip()
            )
            passed.append(f"{deployment.provider.provider.name} {what}")
            if weighed is not None:
                await weighed.fallbacks()
    except BaseException:  # The client left: what was kept to be passed on is let go.
        if attempt is not None:
            attempt.close()
        raise
    if attempt is None:
        if failure is None and soonest < inf:
            exchange.routed = ", ".join(passed)[:LONGEST_ROUTED]
            _tell_route(exchange, "nobody")
            raise ProviderLimitReached(soonest)
        raise failure or ModelUnavailable
    return attempt


def _status(attempt: Attempt | None) -> int:
    if attempt is None:
        return 0
    return attempt.response.status if attempt.fault is None else attempt.fault.status


def _over(asking: Asking) -> bool:
    """Its time is up, whoever took it."""
    return 0.0 < asking.until <= get_running_loop().time()


def failed(status: int) -> bool:
    """Somebody else might answer."""
    return status == 429 or status >= 500 or status in (402, 408)


def _enter(exchange: Exchange, candidate: Candidate, passed: list[str]) -> None:
    """Puts on the exchange whom it goes to, and why."""
    exchange.provider_id = candidate.deployment.provider.id
    exchange.deployment_id = candidate.deployment.id
    why = f"{candidate.why} after {', '.join(passed)}" if passed else candidate.why
    exchange.routed = (why + candidate.over)[:LONGEST_ROUTED]
    if EXPLAIN in exchange.headers:
        provider = candidate.deployment.provider.provider.name
        _tell_route(exchange, f"{provider} ({candidate.deployment.deployment.model})")


def _tell_route(exchange: Exchange, where: str) -> None:
    """In the answer's head, to who asks for it."""
    if EXPLAIN in exchange.headers:
        where = f"{where}: {exchange.routed}"
        told = where.encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
        others = [pair for pair in exchange.added_headers or [] if pair[0] != b"x-hubpo-route"]
        exchange.added_headers = [*others, (b"x-hubpo-route", told)]


async def _room(
    gateway: Gateway, candidate: Candidate, asking: Asking
) -> tuple[Held | None, float]:
    """As ``declared.take``. Counting tokens is no part of a provider's limits on its answers."""
    if asking.door.operation == "count":
        return None, 0.0
    if candidate.wait:
        return None, candidate.wait
    asking.tokens = asking.tokens or choose.estimated(asking).tokens
    return await declared.take(gateway, candidate.deployment, asking.tokens)


async def _metered(
    exchange: Exchange,
    gateway: Gateway,
    deployment: DeploymentRuntime,
    asking: Asking,
    held: Held,
) -> Attempt:
    """``_attempt`` of a call that holds a part of the deployment's limits."""
    try:
        attempt = await _attempt(exchange, gateway, deployment, asking)
    except BaseException as error:
        sent = getattr(error, "sent", not isinstance(error, GatewayError))
        declared.settle(held, held.units[-1] if sent else 0)
        raise
    attempt.holds = held, exchange
    return attempt


async def _attempt(
    exchange: Exchange, gateway: Gateway, deployment: DeploymentRuntime, asking: Asking
) -> Attempt:
    """The head of its answer and, of a stream, the first piece. Raises what prevents that."""
    tenant: TenantRuntime = exchange.tenant  # type: ignore[assignment]
    pool, to = gateway.pool, deployment.provider.destination
    timeouts = deployment.provider.provider.timeouts
    if to.ready is not None:
        await to.ready(to)
    told = asking.tell(exchange, deployment)
    began = perf_counter_ns()
    seen = gateway.track.began(deployment.key, asking.tokens)
    response = None
    try:
        lane = pool.lane(to.target, True, tenant.private_ok, MAX_CONNECTIONS, MAX_WAITING)
        head = sending.head(exchange, asking, deployment, told, lane.host)
        until = asking.until
        if timeouts.total is not None:
            latest = get_running_loop().time() + timeouts.total
            until = asking.until = min(until, latest) if until else latest
        response = await pool.call(lane, "POST", head, told.body, None, timeouts, until, exchange)
        attempt = Attempt(response, deployment, told, seen, began / 1e9)
        gateway.track.answered(seen, response.headers, refused=response.status == 429)
        if response.status >= 400:
            attempt.body = await response.read(ERROR_LIMIT)
        elif response.coded and response.status < 300:
            raise AnswerUnreadable(COMPRESSED)
        elif asking.stream:
            await _first_piece(attempt)
        elif (
            (told.format != asking.format or exchange.prompt_id)
            and response.status < 300
            and not is_stream(attempt)
        ):
            await read_whole(exchange, asking, attempt)
        return attempt
    except BaseException:
        if response is not None:
            if response.status < BAD_REQUEST and (response.coded or not asking.stream):
                lost(exchange, deployment, told.body)
            response.close()
        seen.in_flight -= 1
        raise
    finally:
        exchange.upstream_us += (perf_counter_ns() - began) // 1000


async def _first_piece(attempt: Attempt) -> None:
    """Until now nothing was said to the client, so what fails here can be tried elsewhere. Some
    providers answer 200 and then say in the stream that they cannot."""
    response, spoken = attempt.response, attempt.told.format
    await response.begun()
    if spoken in FORMATS and b"error" in (piece := response.peek()):
        for event in FORMATS[spoken].reader().feed(piece):
            if isinstance(event, Failed):
                attempt.fault = event.fault
            elif not isinstance(event, Begin | Counted | Other):
                break


def is_stream(attempt: Attempt) -> bool:
    spoken = attempt.told.format
    kind = field(attempt.response, b"content-type") or b""
    return spoken in FORMATS and kind.startswith(FORMATS[spoken].STREAM_TYPE)


async def read_whole(exchange: Exchange, asking: Asking, attempt: Attempt) -> Any:
    """The answer, which the attempt keeps. As in ``_first_piece``, the next can still be asked.
    Raises UpstreamBroken, UpstreamTimeout and AnswerUnreadable."""
    body = await attempt.response.read(ANSWER_LIMIT)
    began = perf_counter_ns()
    attempt.answer = asking.formats[attempt.told.format].read_answer(body)
    exchange.upstream_us -= (perf_counter_ns() - began) // 1000
    return attempt.answer


def _fault(attempt: Attempt) -> Fault:
    """Of an answer with an error status."""
    response = attempt.response
    read = family(attempt.told.format).read_fault
    return read(response.status, dict(response.headers), attempt.body)


def _too_small(deployment: DeploymentRuntime) -> str:
    name, size = deployment.provider.provider.name, deployment.deployment.context_tokens
    return f"{name} not asked (context of {size} tokens)"


def _rest(attempt: Attempt) -> float:
    """The seconds that the provider asks for, in a header or in the body of its error."""
    seconds = (attempt.fault or _fault(attempt)).retry_after
    if seconds is None or seconds <= 0:
        return REST_SECONDS
    return min(seconds, MOST_REST_SECONDS)


def _refuse(attempt: Attempt, deployment: DeploymentRuntime) -> None:
    """A provider that refuses the gateway, or sends it elsewhere, is not the client's concern."""
    status = attempt.response.status
    if status < 300:
        return
    if status in (401, 403) or (status == BAD_REQUEST and GOOGLES_KEY in attempt.body):
        attempt.close()
        raise ProviderRejectedCredentials(deployment.provider.provider.name, status)
    if status < BAD_REQUEST:
        attempt.close()
        raise ProviderRefused(
            f"The AI provider '{deployment.provider.provider.name}' answered with a redirect. "
            "An administrator must check its address in the admin."
        )


def account(exchange: Exchange, deployment: DeploymentRuntime, usage: Usage | None) -> None:
    """Tokens and cost on the exchange, as far as the provider reported them."""
    prices = deployment.prices
    exchange.currency = prices.currency
    if usage is None:
        usage = delivered.unreported(exchange, deployment)
    if usage is None:
        if exchange.embedded is not None:
            exchange.cost_micros = None
        return
    exchange.input_tokens = usage.input_tokens
    exchange.output_tokens = usage.output_tokens
    exchange.cached_tokens = usage.cached_tokens
    exchange.cache_write_tokens = usage.cache_write_tokens
    exchange.reasoning_tokens = usage.reasoning_tokens
    exchange.measured = usage.measured
    if exchange.embedded is None:
        exchange.cost_micros = cost_micros(prices, usage)
    else:
        exchange.cost_micros = sum_micros((prices, usage), *exchange.embedded)
    if exchange.compared is not None:
        note_saving(exchange, usage)


def lost(exchange: Exchange, deployment: DeploymentRuntime, prompt: bytes, came: int = 0) -> None:
    """The provider took the call and will bill it, but its answer broke off or cannot be read.
    ``came``: bytes of it. Tokens and cost are estimated as in ``proxy.ai.cut_off``."""
    ability = exchange.asked[2] if exchange.asked is not None else ""
    if ability == "chat" or exchange.prompt_id:
        usage = Usage(about(prompt), came // _TOKEN)
    elif ability == "embeddings":
        usage = Usage(about(prompt), 0)
    elif ability:
        usage = None
    else:
        return  # Counting tokens costs nothing.
    exchange.guessed = True
    account(exchange, deployment, usage)


def _forget(exchange: Exchange) -> None:
    """What was estimated of an answer that was lost: another deployment has answered."""
    exchange.guessed = False
    exchange.input_tokens = exchange.output_tokens = exchange.cost_micros = None
    exchange.measured = exchange.saved_micros = None


def note_saving(exchange: Exchange, usage: Usage) -> None:
    """``usage`` is what the exchange's cost is of, but for what was embedded."""
    dearest = [one.prices for one in exchange.compared.deployments] if exchange.compared else []
    exchange.saved_micros = saved_micros(dearest, usage, exchange.currency, exchange.cost_micros)


class _Error(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error | str


_decode_error = msgspec.json.Decoder(_ErrorBody).decode


def has_message(body: bytes) -> bool:
    """Whether it is an error in the shape that OpenAI, Anthropic and Google share."""
    try:
        error = _decode_error(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return bool(error if isinstance(error, str) else error.message)


def note_error(exchange: Exchange, status: int) -> None:
    exchange.error_code = "provider_rate_limited" if status == 429 else "provider_error"


def field(response: Response, name: bytes) -> bytes | None:
    """The first header of that lower-case name."""
    for key, value in response.headers:
        if key == name:
            return value
    return None
