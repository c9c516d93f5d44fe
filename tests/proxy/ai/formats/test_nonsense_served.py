"""A gateway between clients and providers that send nonsense: each call comes to an end that
its client can read, and to no fault of the gateway's own."""

from __future__ import annotations

import json
import random

import pytest
from ai_servers import Reply
from nonsense import Changes
from recordings import exchanges, needed
from test_all_formats import SPOKEN

from proxy.ai.formats.registry import FORMATS

MODELS = {
    "gpt": "chat",
    "mistral": "chat",
    "claude": "messages",
    "gemini": "gemini",
    "nova": "converse",
    "command": "cohere",
    "carried-alone": "chat",
}
"""And the format that each one's provider speaks."""
DOORS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "gemini": "/v1beta/models/{}:generateContent",
}
CALLS = 40


def some(format_: str, **which) -> list:
    found = exchanges(endpoint=SPOKEN[format_], **which)
    return [one for one in found if len(one.response) < 20_000 and len(one.request) < 20_000]


def request(door: str, model: str, stream: bool, body: bytes) -> bytes:
    """A recorded one that asks this model."""
    said = json.loads(body) if body.startswith(b"{") else {}
    if door != "gemini":
        said |= {"model": model, "stream": stream}
    return json.dumps(said).encode()


def reply(chance: random.Random, changes: Changes, format_: str, stream: bool) -> Reply:
    if chance.random() < 0.1:
        kind = {"content_type": "text/html", "status": chance.choice([200, 204, 502])}
        return Reply([b"<html>Bad Gateway</html>"] if kind["status"] != 204 else [], **kind)
    if chance.random() < 0.1 and (failed := some(format_, failed=True)):
        one = chance.choice(failed)
        return Reply([changes.of_json(one.response)], status=one.status)
    if chance.random() < 0.1:
        stream = not stream
    answer = chance.choice(some(format_, stream=stream)).response
    if not stream:
        return Reply([changes.of_json(answer)])
    change = changes.of_frames if format_ == "converse" else changes.of_events
    kind = FORMATS[format_].STREAM_TYPE.decode()
    pieces = [piece for piece in changes.pieces(change(answer)) if piece]
    return Reply(pieces, content_type=kind, abort=chance.random() < 0.1)


def readable(answer) -> None:
    """Raises where the client of another format than the provider's could not take it apart."""
    if answer.headers["content-type"].startswith("application/json"):
        answer.json()
        return
    for line in answer.content.splitlines():
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            json.loads(line[6:])


@needed
@pytest.mark.parametrize("door", DOORS)
def test_every_call_comes_to_an_end_that_can_be_read(web, provider, platform, caplog, door):
    chance, changes = random.Random(door), Changes(5)
    asked = some(door)
    for _ in range(CALLS):
        platform.application.gateway.health.circuits.clear()
        (model, format_), stream = chance.choice(list(MODELS.items())), chance.random() < 0.5
        body = request(door, model, stream, chance.choice(asked).request)
        if chance.random() < 0.5:
            body = changes.of_json(body)
        path = DOORS[door].format(model)
        if stream and door == "gemini":
            path = path.replace(":generate", ":streamGenerate") + "?alt=sse"
        said = reply(chance, changes, format_, stream)
        provider.answer = lambda asked, said=said: said
        answer = web.post(path, content=body, timeout=10)
        assert "internal_error" not in answer.text, body
        if format_ != door or answer.status_code >= 400:
            readable(answer)
    assert not [record for record in caplog.records if record.name.startswith("proxy")]
