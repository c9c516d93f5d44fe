"""Gemini's files and batches, for as long as a test lasts."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any

from ai_message_batches import now
from ai_servers import Asked, Reply, Script


class Gemini:
    """``files`` by name, ``batches`` by id. ``elsewhere``: uploads are sent to another host."""

    def __init__(self, script: Script) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.elsewhere = False
        self._name = token_hex(4)
        script.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        method, path, _ = asked.line.split()
        assert asked.headers["x-goog-api-key"] == "sk-the-tenants-own"
        if path == "/upload/v1beta/files":
            assert asked.headers["x-goog-upload-command"] == "start"
            assert int(asked.headers["x-goog-upload-header-content-length"]) > 0
            host = "elsewhere.example" if self.elsewhere else "127.0.0.1"
            return Reply(
                [b"{}"], headers={"x-goog-upload-url": f"https://{host}/upload/here?upload_id=1"}
            )
        if path == "/upload/here?upload_id=1":
            assert asked.headers["x-goog-upload-command"] == "upload, finalize"
            assert int(asked.headers["content-length"]) == len(asked.body)
            name = f"files/{self._name}{len(self.files)}"
            self.files[name] = asked.body
            return self._say({"file": {"name": name, "mimeType": "application/jsonl"}})
        match [method, *path.removeprefix("/v1beta/").split("/")]:
            case ["POST", "models", "gemini-real:batchGenerateContent"]:
                return self._say(self._create(json.loads(asked.body)["batch"]))
            case ["GET", "batches", id_] if id_ in self.batches:
                return self._say(self.batches[id_])
            case ["POST", "batches", verb] if verb.removesuffix(":cancel") in self.batches:
                batch = self.batches[verb.removesuffix(":cancel")]
                batch["metadata"] |= {"state": "BATCH_STATE_CANCELLED", "endTime": now(-2)}
                return self._say({})
            case ["GET", "files", file] if file.endswith(":download?alt=media"):
                data = self.files[f"files/{file.partition(':')[0]}"]
                pieces = [data[at : at + 90] for at in range(0, len(data), 90)]
                return Reply(pieces, content_type="application/octet-stream")
        error = {"code": 404, "message": f"Not found: {path}", "status": "NOT_FOUND"}
        return Reply([json.dumps({"error": error}).encode()], status=404)

    def _say(self, value: dict[str, Any]) -> Reply:
        return Reply([json.dumps(value).encode()])

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        id_ = f"b{self._name}{len(self.batches)}"
        self.asked = [
            json.loads(line) for line in self.files[asked["inputConfig"]["fileName"]].splitlines()
        ]
        self.batches[id_] = {
            "name": f"batches/{id_}",
            "metadata": {
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main"
                ".GenerateContentBatch",
                "model": "models/gemini-real",
                "displayName": asked["displayName"],
                "state": "BATCH_STATE_PENDING",
                "createTime": now(),
                "batchStats": {"requestCount": str(len(self.asked))},
            },
        }
        return self.batches[id_]

    def finish(self, *results: dict[str, Any]) -> dict[str, Any]:
        """The last batch is over: a result for each of its requests."""
        batch = list(self.batches.values())[-1]
        lines = [
            json.dumps({"key": asked["key"], **result})
            for asked, result in zip(self.asked, results, strict=True)
        ]
        name = f"files/out{self._name}{len(self.files)}"
        self.files[name] = "\n".join(lines).encode()
        good = sum("response" in result for result in results)
        batch["metadata"] |= {
            "state": "BATCH_STATE_SUCCEEDED",
            "endTime": now(-2),
            "output": {"responsesFile": name},
            "batchStats": {
                "requestCount": str(len(results)),
                "successfulRequestCount": str(good),
                "failedRequestCount": str(len(results) - good),
            },
        }
        batch["done"] = True
        return batch


def generated(into: int, out: int, text: str = "Hello", thoughts: int = 0) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {
        "promptTokenCount": into,
        "candidatesTokenCount": out,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": into + out + thoughts,
    }
    return {
        "response": {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage,
            "modelVersion": "gemini-real",
            "responseId": "r1",
        }
    }
