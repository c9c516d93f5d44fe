"""The formats in which the tokens of a prompt are counted: each has the shape of
``proxy.ai.formats.Simple``.

A request is one for an answer (``proxy.ai.middle.Request``) without what only steers the answer;
what comes back is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from proxy.ai.middle import Request, Usage
from proxy.ai.middle.rules import Notes, Rule

_STEERING: Mapping[str, Any] = {
    "temperature": None,
    "top_p": None,
    "top_k": None,
    "n": None,
    "seed": None,
    "presence_penalty": None,
    "frequency_penalty": None,
    "logit_bias": None,
    "logprobs": None,
    "top_logprobs": None,
    "audio": None,
    "metadata": None,
    "user": "",
    "service_tier": "",
    "verbosity": "",
    "stop": [],
    "modalities": [],
}


class Count(Struct):
    """What a provider has counted. Counting itself uses nothing."""

    tokens: int
    model: str = ""
    usage: Usage | None = None


class Counting:
    """One format, of its four functions. What steers the answer is left out before ``write`` is
    asked, so that no provider is told, or refuses, what does not count."""

    LACKS: Mapping[str, Rule] = {}

    def __init__(
        self,
        name: str,
        read: Callable[[bytes, str], Request],
        write: Callable[[Request, str, Notes], bytes],
        read_counted: Callable[[bytes], int],
        write_counted: Callable[[int], bytes],
    ) -> None:
        self.NAME = name
        self._read = read
        self._write = write
        self._read_counted = read_counted
        self._write_counted = write_counted

    def read_request(self, body: bytes, *, model: str = "", stream: bool = False) -> Request:
        """Raises InvalidJson and InvalidRequest."""
        return self._read(body, model)

    def write_request(self, request: Request, model: str, notes: Notes) -> bytes:
        """Raises ParameterUnsupported and InvalidJson."""
        for name, empty in _STEERING.items():
            setattr(request, name, empty)
        request.stream = False
        return self._write(request, model, notes)

    def read_answer(self, body: bytes) -> Count:
        """Raises AnswerUnreadable."""
        return Count(self._read_counted(body))

    def write_answer(self, answer: Count, request: Request) -> bytes:
        return self._write_counted(answer.tokens)

    def read_usage(self, data: bytes) -> Usage | None:
        return None
