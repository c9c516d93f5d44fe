"""The OpenAI-compatible provider under ``/v1``. It asks for no key."""

from __future__ import annotations

from sandbox import chat, embeddings
from sandbox.web import Refused, Request, allow

MODELS = ("sandbox-chat", "sandbox-small", "sandbox-embedding")

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


async def serve(request: Request, segments: list[str]) -> None:
    """``segments`` are those after ``/v1``. Every error has OpenAI's shape."""
    try:
        await _route(request, segments)
    except Refused as error:
        value = {
            "message": error.message,
            "type": _TYPES.get(error.status, "server_error"),
            "param": error.param,
            "code": error.code,
        }
        await request.answer({"error": value}, status=error.status, headers=error.headers)


async def _route(request: Request, segments: list[str]) -> None:
    match segments:
        case ["chat", "completions"]:
            allow(request, "POST")
            await chat.serve(request, _known)
        case ["embeddings"]:
            allow(request, "POST")
            await embeddings.serve(request, _known)
        case ["models"]:
            allow(request, "GET")
            await request.answer({"object": "list", "data": [_model(name) for name in MODELS]})
        case ["models", name]:
            allow(request, "GET")
            _known(name)
            await request.answer(_model(name))
        case _:
            path = request.scope["path"]
            raise Refused(404, "unknown_path", f"The sandbox has no {request.method} {path}.")


def _known(name: str) -> None:
    """Any name that begins with ``sandbox`` is a model, so that a demo may have several."""
    if not name.startswith("sandbox"):
        message = f"The sandbox has no model {name!r}: its models begin with 'sandbox'."
        raise Refused(404, "model_not_found", message, param="model")


def _model(name: str) -> dict[str, str | int]:
    return {"id": name, "object": "model", "created": chat.CREATED, "owned_by": "sandbox"}
