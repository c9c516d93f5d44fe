"""A browser's end of a WebSocket. (Channels' own wants a server that we do not use.)"""

from __future__ import annotations

from contextlib import suppress

from asgiref.testing import ApplicationCommunicator

from config.asgi import application


class Socket:
    """Sends ``headers`` to the console; ``open`` says whether it was let in."""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        self._end = ApplicationCommunicator(application, scope)

    async def open(self) -> bool:
        await self._end.send_input({"type": "websocket.connect"})
        answer = await self._end.receive_output(5)
        return answer["type"] == "websocket.accept"

    async def hears(self, seconds: float = 2) -> str:
        answer = await self._end.receive_output(seconds)
        return answer.get("text", answer["type"])

    async def hears_nothing(self, seconds: float) -> bool:
        return await self._end.receive_nothing(seconds)

    async def close(self) -> None:
        await self._end.send_input({"type": "websocket.disconnect", "code": 1005})
        with suppress(TimeoutError):
            await self._end.wait(0.5)
