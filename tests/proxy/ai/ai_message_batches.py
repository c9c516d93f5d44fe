"""Anthropic's batches of messages, for as long as a test lasts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from ai_servers import Asked, Reply, Script

PATH = "/v1/messages/batches"


class Anthropic:
    """``batches`` by id, ``requests`` and ``results`` by the batch's id."""

    def __init__(self, script: Script) -> None:
        self.batches: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, list[dict[str, Any]]] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self._name = token_hex(4)
        script.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        method, path, _ = asked.line.split()
        assert asked.headers["x-api-key"] == "sk-the-tenants-own"
        assert asked.headers["anthropic-version"] == "2023-06-01"
        match [method, *path.removeprefix(PATH).strip("/").split("/")]:
            case ["POST", ""]:
                assert int(asked.headers["content-length"]) == len(asked.body)
                return self._say(self._create(json.loads(asked.body)["requests"]))
            case ["GET", id_] if id_ in self.batches:
                return self._say(self.batches[id_])
            case ["POST", id_, "cancel"] if id_ in self.batches:
                self.batches[id_] |= {
                    "processing_status": "canceling",
                    "cancel_initiated_at": now(),
                }
                return self._say(self.batches[id_])
            case ["GET", id_, "results"] if id_ in self.results:
                data = "".join(json.dumps(one) + "\n" for one in self.results[id_]).encode()
                pieces = [data[at : at + 90] for at in range(0, len(data), 90)]
                return Reply(pieces, content_type="application/x-jsonl")
        error = {"type": "not_found_error", "message": f"No such batch: {path}"}
        return Reply([json.dumps({"type": "error", "error": error}).encode()], status=404)

    def _say(self, value: dict[str, Any]) -> Reply:
        return Reply([json.dumps(value).encode()])

    def _create(self, requests: list[dict[str, Any]]) -> dict[str, Any]:
        id_ = f"msgbatch_{self._name}{len(self.batches)}"
        self.requests[id_] = requests
        self.batches[id_] = {
            "id": id_,
            "type": "message_batch",
            "processing_status": "in_progress",
            "request_counts": counts(processing=len(requests)),
            "created_at": now(),
            "expires_at": now(86_400),
            "ended_at": None,
            "cancel_initiated_at": None,
            "results_url": None,
        }
        return self.batches[id_]

    def finish(self, *results: dict[str, Any]) -> dict[str, Any]:
        """The last batch is over: a result for each of its requests, the last one first."""
        id_, batch = list(self.batches.items())[-1]
        asked = self.requests[id_]
        self.results[id_] = [
            {"custom_id": request["custom_id"], "result": result}
            for request, result in zip(asked, results, strict=True)
        ][::-1]
        kinds = [result["type"] for result in results]
        batch |= {
            "processing_status": "ended",
            "request_counts": counts(**{kind: kinds.count(kind) for kind in kinds}),
            "ended_at": now(-2),
            "results_url": f"https://api.anthropic.com{PATH}/{id_}/results",
        }
        return batch


def now(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def counts(**given: int) -> dict[str, int]:
    return dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0) | given


def succeeded(into: int, out: int, text: str = "Hello", cached: int = 0) -> dict[str, Any]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-real",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": into, "output_tokens": out, "cache_read_input_tokens": cached},
    }
    return {"type": "succeeded", "message": message}


def errored(kind: str = "invalid_request_error", message: str = "Too long") -> dict[str, Any]:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return {"type": "errored", "error": error}
