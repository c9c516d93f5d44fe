"""Streams that break off, and what goes on."""

import json

from ai_servers import sse

HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
USED = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}


def chunk(delta=None, finish=None, **fields):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps(HEAD | {"choices": choices} | fields)


BEGIN = chunk({"role": "assistant", "content": ""})
FIRST = sse(BEGIN, chunk({"content": "Roses are "}), chunk({"content": "red, "}))
REST = sse(
    chunk({"role": "assistant", "content": ""}, id="c-2", model="n"),
    chunk({"content": " violets"}, id="c-2"),
    chunk({"content": " blue."}, id="c-2"),
    chunk({}, "stop", id="c-2"),
    chunk(usage=USED, id="c-2"),
    "[DONE]",
)
STREAM = {"content_type": "text/event-stream"}


def breaks_off(script, *pieces):
    script.says(*pieces, abort=True, **STREAM)


def ask(web, model, path="/v1/chat/completions", **fields):
    body = {"model": model, "messages": [{"role": "user", "content": "A poem."}], "stream": True}
    return web.post(path, json=body | fields)


def events(answer):
    """The data of each event."""
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text(chunks):
    deltas = [choice["delta"] for one in chunks for choice in one["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def anthropic(kind, **fields):
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        json.dumps({"type": kind, **fields}).encode(),
    )


def claude(*texts, end=True):
    usage = {"input_tokens": 40, "output_tokens": 1}
    message = {"id": "msg", "type": "message", "role": "assistant", "content": [], "usage": usage}
    parts = [
        anthropic("message_start", message=message),
        anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ]
    for said in texts:
        delta = {"type": "text_delta", "text": said}
        parts.append(anthropic("content_block_delta", index=0, delta=delta))
    if end:
        parts += [
            anthropic("content_block_stop", index=0),
            anthropic(
                "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 6}
            ),
            anthropic("message_stop"),
        ]
    return b"".join(parts)
