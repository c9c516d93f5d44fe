"""The sandbox as one ASGI callable: ``uvicorn sandbox.app:application``.

``/v1`` is the AI provider, ``/weather`` the REST service, ``/healthz`` says that it runs.
"""

from __future__ import annotations

from sandbox import provider, weather
from sandbox.web import ClientGone, Receive, Refused, Request, Scope, Send, allow


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    request = Request(scope, receive, send)
    try:
        await _route(request)
    except ClientGone:
        return None
    except Refused as error:
        value = {"error": {"code": error.code, "message": error.message}}
        await request.answer(value, status=error.status, headers=error.headers)


async def _route(request: Request) -> None:
    match request.segments:
        case ["v1", *rest]:
            await provider.serve(request, rest)
        case ["weather", *rest]:
            await weather.serve(request, rest)
        case ["healthz"]:
            allow(request, "GET")
            await request.answer({"status": "ok"})
        case _:
            raise Refused(404, "not_found", "The sandbox serves /v1, /weather and /healthz.")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
