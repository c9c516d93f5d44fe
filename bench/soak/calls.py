"""The kinds of calls of the soak: how often each comes, what is sent and what may come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from bench.cases import CASES, HELD_STREAM, REST_ANSWER, REST_ORDER
from bench.soak.upstream import FAILURE
from bench.soak.world import (
    CALLS_OF_USER,
    MOST_BODY,
    MOVING,
    STEADY,
    moving_key,
    steady_key,
)

Outcome = tuple[int, str]
"""Status, and the code of the error, or how the answer ended: ``left`` by the client."""

OK = (200, "")
LEFT = (200, "left")
NONE = (0, "no answer")
OVERLOADED = (503, "gateway_overloaded")
"""Never recorded."""
TURNED_AWAY = frozenset(
    {
        OVERLOADED,
        (503, "limits_unavailable"),
        (502, "upstream_unreachable"),
        (503, "no_healthy_target"),
    }
)
"""Right where the machine has too much else to do: for the worker, for Valkey, for the upstream."""
PATHS = 3000
"""More than a worker remembers of one tenant."""
_CHAT, _STREAM, _PACED = (case for case in CASES if case.ai and not case.translated)


@dataclass(frozen=True)
class Kind:
    """``share``: calls of this kind in a thousand. ``request`` takes the number of the call
    among those of its kind, and the version of the moving tenant. ``outcomes`` may all come,
    and do come in the long run; ``answer`` is the body of a 200, None where it varies.
    """

    name: str
    share: int
    request: Callable[[int, int], bytes]
    outcomes: frozenset[Outcome]
    answer: bytes | None = REST_ANSWER
    leaves: bool = False
    """The client goes away when the answer has begun."""
    recorded: bool = True

    def judge(self, outcome: Outcome, body: bytes) -> str | None:
        """What is wrong with an answer, or None."""
        if outcome in TURNED_AWAY:
            return None
        if outcome not in self.outcomes:
            return f"{outcome}: {body[:200]!r}"
        if outcome == OK and self.answer is not None and body != self.answer:
            return f"another body: {body[:200]!r}"
        return None


def http(
    method: str, host: str, path: str, body: bytes = b"", key: str = "", **fields: str
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"X-API-Key: {key}"] * bool(key)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _steady(method: str, path: str, body: bytes = b"", **fields: Callable[[int], str]):
    """``{n}`` in the path is the number of the call."""

    def request(number: int, version: int) -> bytes:
        told = {name: value(number) for name, value in fields.items()}
        return http(method, STEADY, path.format(n=number), body, steady_key(number), **told)

    return request


def _moving(path: str, age: int = 0):
    def request(number: int, version: int) -> bytes:
        return http("GET", MOVING, path.format(n=number), key=moving_key(version - age))

    return request


def _ai(body: bytes):
    return _steady("POST", "/v1/chat/completions", body)


def _listed(number: int, version: int) -> bytes:
    return http("GET", STEADY, f"/rest/{number % PATHS}/item", key=steady_key(number))


def _prompt(number: int, version: int) -> bytes:
    body = json.dumps({"subject": f"number {number}"}).encode()
    return http("POST", STEADY, "/prompt", body, steady_key(number))


def _unknown_key(number: int, version: int) -> bytes:
    return http("GET", STEADY, "/rest/item", key=f"hub_nobody-{number:08d}-00000000000000")


def _stranger(number: int, version: int) -> bytes:
    return http("GET", f"host-{number}.example", "/rest/item")


def _malformed(number: int, version: int) -> bytes:
    return b"GET /rest/item HTTP/1.1\r\nHost: %b\r\nno field\r\n\r\n" % STEADY.encode()


def _of(*outcomes: Outcome) -> frozenset[Outcome]:
    return frozenset(outcomes)


_FINE = _of(OK)
_LIMITED = _of(OK, (429, "rate_limit_exceeded"))
_DOWN = _of(OK, (502, "upstream_broken"), (503, "no_healthy_target"))
_NO_KEY = _of((401, "api_key_unknown"))
_UNKNOWN = json.dumps({"model": "nobody-knows-it", "messages": []}).encode()

KINDS = (
    Kind("get", 330, _listed, _FINE),
    Kind("get, ever new fields", 60, _steady("GET", "/rest/item", x_trace=str), _FINE),
    Kind("post 10 KB", 100, _steady("POST", "/rest/item", REST_ORDER), _FINE),
    Kind("leased limit", 60, _steady("GET", "/leased/{n}/item"), _FINE),
    Kind(
        "end users", 90,
        _steady("GET", "/users/item", x_user=lambda n: f"user-{n // (CALLS_OF_USER + 1)}"),
        _LIMITED,
    ),
    Kind("narrow limit", 40, _steady("GET", "/limited/item"), _LIMITED),
    Kind("chat", 80, _ai(_CHAT.body), _FINE, _CHAT.answer),
    Kind("stream of 50", 40, _ai(_STREAM.body), _FINE, _STREAM.answer),
    Kind("stream of a second", 20, _ai(_PACED.body), _FINE, _PACED.answer),
    Kind("stream, left", 15, _ai(HELD_STREAM.body), _of(LEFT), leaves=True),
    Kind("prompt", 20, _prompt, _FINE, None),
    Kind("moving tenant", 45, _moving("/rest/{n}/item"), _FINE),
    Kind("failing target", 30, _moving("/flaky/{n}/item"), _DOWN),
    Kind("answer cut short", 5, _steady("GET", "/rest/cut"), _of((200, "upstream_broken"))),
    Kind("service's error", 10, _steady("GET", "/rest/failing"), _of((500, "")), FAILURE),
    Kind("revoked key", 10, _moving("/rest/item", age=4), _NO_KEY),
    Kind("unknown key", 10, _unknown_key, _NO_KEY),
    Kind("no such path", 10, _steady("GET", "/none-{n}"), _of((404, "route_not_found"))),
    Kind("wrong method", 5, _steady("DELETE", "/rest/item"), _of((405, "method_not_allowed"))),
    Kind(
        "body too large", 5, _steady("POST", "/rest/item", bytes(MOST_BODY + 1)),
        _of((413, "body_too_large")),
    ),
    Kind("no such model", 5, _ai(_UNKNOWN), _of((404, "model_not_found"))),
    Kind("stranger", 5, _stranger, _of((404, "tenant_unknown")), recorded=False),
    Kind("malformed", 5, _malformed, _of((400, "malformed_request")), recorded=False),
)  # fmt: skip
"""A thousand calls in all."""

FILLING = (
    Kind("filling: end users", 2, _steady("GET", "/users/item", x_user=str), _FINE),
    Kind("filling: paths", 1, _steady("GET", "/rest/filling-{n}/item"), _FINE),
)
"""What a worker remembers of it has an end, but would be reached slowly by calls like ``KINDS``."""


def turns(kinds: Iterable[Kind], seed: int = 1) -> list[Kind]:
    """In an order that is the same every time, and mixed."""
    order = [kind for kind in kinds for _ in range(kind.share)]
    Random(seed).shuffle(order)
    return order
