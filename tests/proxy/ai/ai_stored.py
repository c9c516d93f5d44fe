"""A provider that keeps responses, for as long as a test lasts, and what its clients ask."""

from __future__ import annotations

import json
from secrets import token_hex

from ai_servers import Asked, Reply, Script

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


def respond(web, model="kept", previous=None, **fields):
    body = {"model": model, "input": "Say hello."} | fields
    if previous is not None:
        body["previous_response_id"] = previous
    return web.post("/v1/responses", json=body, headers={"x-hubpo-explain": "1"})


def refusal(status: int, code: str | None, message: str, param: str | None = None) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply([json.dumps({"error": error}).encode()], status=status)


def response_of(answer) -> dict:
    """The whole response, as an answer or the end of a stream told it."""
    if answer.headers["content-type"].startswith("application/json"):
        return answer.json()
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    return json.loads(lines[-1].removeprefix("data: "))["response"]


class Account:
    """``responses`` by id. ``fails``: what is answered in place of all else; ``cut``: bytes of a
    piece of a stream; ``breaks``: streams break off after the first text; ``headers``: of whole
    answers."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.responses: dict[str, dict] = {}
        self.fails: Reply | None = None
        self.cut = 10_000
        self.breaks = False
        self.headers: dict[str, str] = {}
        script.answer = self.answer

    @property
    def models(self) -> list[str]:
        """That were asked, as this account calls them."""
        return [json.loads(asked.body)["model"] for asked in self.script.asked if asked.body]

    def answer(self, asked: Asked) -> Reply:
        if self.fails is not None:
            return self.fails
        method, target, _ = asked.line.split()
        path = target.partition("?")[0].removeprefix("/v1/")
        match [method, *path.split("/")]:
            case ["POST", "responses"]:
                return self._respond(json.loads(asked.body))
            case ["POST", "responses", "input_tokens"]:
                told = {"object": "response.input_tokens", "input_tokens": 123}
                return Reply([json.dumps(told).encode()])
            case ["GET", "responses", id_] if id_ in self.responses:
                return Reply([json.dumps(self.responses[id_]).encode()])
            case ["GET", "responses", id_, "input_items"] if id_ in self.responses:
                told = {"object": "list", "data": [], "has_more": False}
                return Reply([json.dumps(told | {"first_id": "", "last_id": ""}).encode()])
            case ["DELETE", "responses", id_] if id_ in self.responses:
                del self.responses[id_]
                told = {"id": id_, "object": "response", "deleted": True}
                return Reply([json.dumps(told).encode()])
            case ["POST", "responses", id_, "cancel"] if id_ in self.responses:
                return refusal(400, None, "Cannot cancel a synchronous response.")
        return refusal(404, None, f"Nothing is at {path}.")

    def _respond(self, body: dict) -> Reply:
        previous = body.get("previous_response_id")
        if previous is not None and previous not in self.responses:
            text = f"Previous response with id '{previous}' not found."
            return refusal(400, "previous_response_not_found", text, "previous_response_id")
        told = self._made(body)
        if body.get("store") is not False:
            self.responses[told["id"]] = told
        if not body.get("stream"):
            return Reply([json.dumps(told, indent=2).encode()], headers=self.headers)
        data = b"".join(self._events(told))
        if self.breaks:
            data = data[: data.index(b"event: response.output_text.done")]
        pieces = [data[i : i + self.cut] for i in range(0, len(data), self.cut)]
        return Reply(pieces, content_type="text/event-stream", abort=self.breaks)

    def _made(self, body: dict) -> dict:
        text = {"type": "output_text", "text": "Hi there.", "annotations": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        return {
            # Not in front, as with some providers.
            "created_at": 1_700_000_000,
            "id": f"resp_{token_hex(24)}",
            "object": "response",
            "status": "completed",
            "model": body["model"],
            "output": [item | {"content": [text]}],
            "previous_response_id": body.get("previous_response_id"),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": USAGE,
        }

    def _events(self, told: dict) -> list[bytes]:
        begun = told | {"status": "in_progress", "output": [], "usage": None}
        empty = told["output"][0] | {"status": "in_progress", "content": []}
        part = told["output"][0]["content"][0]
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events = (
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": empty},
            {"type": "response.content_part.added", **at, "part": part | {"text": ""}},
            {"type": "response.output_text.delta", **at, "delta": "Hi ", "logprobs": []},
            {"type": "response.output_text.delta", **at, "delta": "there.", "logprobs": []},
            {"type": "response.output_text.done", **at, "text": "Hi there.", "logprobs": []},
            {"type": "response.content_part.done", **at, "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": told["output"][0]},
            {"type": "response.completed", "response": told},
        )
        return [
            b"event: %b\ndata: %b\n\n"
            % (event["type"].encode(), json.dumps(event | {"sequence_number": number}).encode())
            for number, event in enumerate(events)
        ]
