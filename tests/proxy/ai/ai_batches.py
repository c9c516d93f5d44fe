"""A provider of OpenAI's format that keeps files and batches, for as long as a test lasts, and what
its clients ask."""

from __future__ import annotations

import email
import json
import time
from email.policy import HTTP
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit

from ai_servers import Asked, Reply, Script

from contract import keys
from contract.usage import decode


def request(model="batched", text="Hi", number=0, url="/v1/chat/completions", **body):
    said = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 10}
    return {"custom_id": f"c{number}", "method": "POST", "url": url, "body": said | body}


def jsonl(*requests):
    return "".join(json.dumps(one) + "\n" for one in requests).encode()


def upload(web, data, name="requests.jsonl", purpose="batch", **options):
    return web.post("/v1/files", data={"purpose": purpose}, files={"file": (name, data)}, **options)


def create(web, file_id, **options):
    body = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    return web.post("/v1/batches", json=body | options)


def batch_records(platform, id_):
    """All records of a batch that have been shipped."""
    shipped = [decode(fields[b"e"]) for _, fields in platform.valkey.xrange(keys.USAGE_STREAM)]
    return [event for event in shipped if event.id == id_]


class Keeper:
    """``files`` by id, each with its bytes; ``batches`` by id. The newest are listed first."""

    def __init__(self, script: Script) -> None:
        self.files: dict[str, tuple[dict, bytes]] = {}
        self.batches: dict[str, dict] = {}
        self._name = token_hex(4)
        script.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        method, target, _ = asked.line.split()
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        match [method, *url.path.removeprefix("/v1/").split("/")]:
            case ["POST", "files"]:
                return self._say(self._upload(asked))
            case ["GET", "files"]:
                return self._say(self._list([told for told, _ in self.files.values()], query))
            case ["GET", "files", id_] if id_ in self.files:
                return self._say(self.files[id_][0])
            case ["GET", "files", id_, "content"] if id_ in self.files:
                data = self.files[id_][1]
                pieces = [data[i : i + 70] for i in range(0, len(data), 70)]
                return Reply(pieces, content_type="application/octet-stream")
            case ["DELETE", "files", id_] if id_ in self.files:
                del self.files[id_]
                return self._say({"id": id_, "object": "file", "deleted": True})
            case ["POST", "batches"]:
                return self._say(self._create(json.loads(asked.body)))
            case ["GET", "batches"]:
                return self._say(self._list(list(self.batches.values()), query))
            case ["GET", "batches", id_] if id_ in self.batches:
                return self._say(self.batches[id_])
            case ["POST", "batches", id_, "cancel"] if id_ in self.batches:
                if self.batches[id_]["status"] == "in_progress":
                    self.batches[id_]["status"] = "cancelling"
                return self._say(self.batches[id_])
        error = {"message": f"No such object: {url.path}", "type": "invalid_request_error"}
        return Reply([json.dumps({"error": error}).encode()], status=404)

    def _say(self, value: dict) -> Reply:
        return Reply([json.dumps(value).encode()])

    def _list(self, items: list[dict], query: dict[str, str]) -> dict:
        items = items[::-1]
        if "after" in query:
            ids = [item["id"] for item in items]
            items = items[ids.index(query["after"]) + 1 :]
        limit = int(query["limit"])
        return {"object": "list", "data": items[:limit], "has_more": len(items) > limit}

    def _upload(self, asked: Asked) -> dict:
        head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + asked.body, policy=HTTP)
        parts = {
            part.get_param("name", header="content-disposition"): part for part in form.iter_parts()
        }
        assert parts["purpose"].get_payload() == "batch"
        return self.put(parts["file"].get_payload(decode=True), parts["file"].get_filename())

    def put(self, data: bytes, name: str, purpose: str = "batch") -> dict:
        told = {
            "id": f"file-{self._name}{len(self.files) + 1}",
            "object": "file",
            "bytes": len(data),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[told["id"]] = (told, data)
        return told

    def _create(self, asked: dict) -> dict:
        told = {
            "id": f"batch_{self._name}{len(self.batches) + 1}",
            "object": "batch",
            "endpoint": asked["endpoint"],
            "errors": None,
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "metadata": asked.get("metadata"),
        }
        self.batches[told["id"]] = told
        return told

    def finish(self, *usages: tuple[int, int], failed: int = 0) -> dict:
        """The last batch is over: an answer for each of ``usages``, in tokens in and out."""
        batch = list(self.batches.values())[-1]
        answers = [
            {
                "custom_id": str(number),
                "response": {
                    "status_code": 200,
                    "body": {
                        "object": "chat.completion",
                        "model": "gpt-real",
                        "choices": [],
                        "usage": {
                            "prompt_tokens": into,
                            "completion_tokens": out,
                            "total_tokens": into + out,
                        },
                    },
                },
                "error": None,
            }
            for number, (into, out) in enumerate(usages)
        ]
        answers += [{"custom_id": "f", "response": {"status_code": 429, "body": {}}}] * failed
        output = self.put(
            "".join(json.dumps(answer) + "\n" for answer in answers).encode(),
            f"{batch['id']}_output.jsonl",
            "batch_output",
        )
        batch["status"] = "completed"
        batch["completed_at"] = int(time.time()) - 2
        batch["output_file_id"] = output["id"]
        return batch
