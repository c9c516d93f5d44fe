"""``POST /v1/embeddings``: unit vectors drawn from a hash of the text.

Equal texts have equal vectors; what lies near what means nothing.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable
from hashlib import shake_256
from math import sqrt
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sandbox import directives
from sandbox.skills import tokens
from sandbox.web import Refused, Request, decode

DIMENSIONS = 256
MAX_DIMENSIONS = 4096


class EmbeddingsRequest(Struct):
    """``input`` is looser than what is accepted, since one type cannot say it: see ``_inputs``."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None


_decoder = msgspec.json.Decoder(EmbeddingsRequest)


async def serve(request: Request, known: Callable[[str], None]) -> None:
    """``known(model)`` raises Refused for a model that there is not."""
    asked = decode(_decoder, await request.body())
    known(asked.model)
    if asked.dimensions is not None and not 1 <= asked.dimensions <= MAX_DIMENSIONS:
        message = f"dimensions must be from 1 to {MAX_DIMENSIONS}."
        raise Refused(400, "invalid_request", message, param="dimensions")
    inputs = _inputs(asked.input)
    if isinstance(inputs[0], str):
        wanted, inputs[0] = directives.take(inputs[0])
        await directives.act(wanted)
    count = sum(tokens(item) if isinstance(item, str) else len(item) for item in inputs)
    vectors = (_vector(item, asked.dimensions or DIMENSIONS) for item in inputs)
    encode = _base64 if asked.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    # Mistral's SDK wants an id, which OpenAI's answer does not have.
    told = {"id": "embd-sandbox", "object": "list", "data": data, "model": asked.model}
    await request.answer(told | {"usage": usage})


def _inputs(value: str | list[Any]) -> list[Any]:
    """One text or token list per vector."""
    single = isinstance(value, str) or (bool(value) and isinstance(value[0], int))
    inputs = [value] if single else list(value)
    if not inputs or not all(inputs) or len({type(item) for item in inputs}) > 1:
        message = "input must be a text, a list of texts, or lists of tokens, none of them empty."
        raise Refused(400, "invalid_request", message, param="input")
    return inputs


def _vector(item: str | list[int], dimensions: int) -> tuple[float, ...]:
    seed = item.encode() if isinstance(item, str) else repr(item).encode()
    numbers = struct.unpack(f"<{dimensions}h", shake_256(seed).digest(2 * dimensions))
    length = sqrt(sum(number * number for number in numbers)) or 1.0
    return tuple(number / length for number in numbers)


def _base64(vector: tuple[float, ...]) -> str:
    """Little-endian 32-bit floats, as OpenAI sends them."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
