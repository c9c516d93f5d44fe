"""A whole answer of Gemini's, read and written."""

from __future__ import annotations

from typing import Any

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.fields import Fields, answer_fields, encode
from proxy.ai.formats.gemini import parts, usage
from proxy.ai.formats.gemini.names import FINISHES, FORMAT, MADE, REASONS, each, inner
from proxy.ai.middle import Answer, Choice, Citation, Part, Request, Text, ToolCall
from proxy.ai.middle.rules import Notes


def read_answer(body: bytes) -> Answer:
    """Raises AnswerUnreadable."""
    fields = answer_fields(body)
    answer = Answer(format=FORMAT, id=fields.text("responseId"), model=fields.text("modelVersion"))
    counted = fields.take("usageMetadata")
    answer.usage = None if counted is None else usage.of_untyped(counted)
    blocked = fields.has("promptFeedback")
    for number, candidate in enumerate(each(fields, "candidates")):
        answer.choices.append(read_choice(candidate, number))
    if not answer.choices and blocked:
        answer.choices.append(Choice([], "content_filter"))
    answer.extra = fields.rest()
    return answer


def read_choice(candidate: Fields, number: int) -> Choice:
    found: list[Part] = []
    content = inner(candidate, "content")
    if content is not None:
        for place, fields in enumerate(each(content, "parts")):
            part = parts.read(fields, f"{MADE}{number}-{place}")
            if part is not None:
                found.append(part)
    candidate.take("index")
    choice = Choice(found)
    reason = candidate.text("finishReason")
    if reason:
        choice.finish = finish_of(reason, found)
    logprobs = candidate.table("logprobsResult")
    choice.logprobs = _logprobs(logprobs) if logprobs else None
    rest = candidate.rest()
    grounding = rest.get("groundingMetadata")
    cite(found, grounding if type(grounding) is dict else {})
    usual = REASONS[choice.finish] if choice.finish is not None else ""
    own: dict[str, Any] = {"finishReason": reason} if reason != usual else {}
    own |= rest
    choice.extra = {FORMAT: own} if own else None
    return choice


def finish_of(reason: str, found: list[Part]) -> Any:
    finish = FINISHES.get(reason, "error")
    called = any(isinstance(part, ToolCall) for part in found)
    return "tool_calls" if finish == "stop" and called else finish


def cite(found: list[Part], grounding: dict[str, Any]) -> None:
    """Sources of passages, on the text that they are in. Google counts bytes, not characters."""
    chunks = grounding.get("groundingChunks")
    texts = [part for part in found if isinstance(part, Text)]
    if not texts or type(chunks) is not list:
        return
    text = texts[-1].text.encode()
    for support in _items(grounding, "groundingSupports"):
        if type(support) is not dict or type(support.get("segment")) is not dict:
            continue
        segment = support["segment"]
        start, end = segment.get("startIndex") or 0, segment.get("endIndex")
        for index in _items(support, "groundingChunkIndices"):
            source = chunks[index] if type(index) is int and 0 <= index < len(chunks) else None
            web = source.get("web") if type(source) is dict else None
            if type(web) is dict and type(start) is int:
                texts[-1].citations.append(
                    Citation(
                        url=str(web.get("uri") or ""),
                        title=str(web.get("title") or ""),
                        quote=str(segment.get("text") or ""),
                        start=len(text[:start].decode(errors="ignore")),
                        end=len(text[:end].decode(errors="ignore")) if type(end) is int else None,
                    )
                )


def _items(of: Any, name: str) -> list[Any]:
    found = of.get(name) if type(of) is dict else None
    return found if type(found) is list else []


def _logprobs(result: dict[str, Any]) -> list[dict[str, Any]]:
    tops = _items(result, "topCandidates")
    told = []
    for place, one in enumerate(_items(result, "chosenCandidates")):
        around = _items(tops[place], "candidates") if place < len(tops) else []
        told.append(_token(one) | {"top_logprobs": [_token(other) for other in around]})
    return told


def _token(one: Any) -> dict[str, Any]:
    if type(one) is not dict:
        raise AnswerUnreadable
    text = str(one.get("token", ""))
    return {
        "token": text,
        "logprob": one.get("logProbability", 0.0),
        "bytes": list(text.encode()),
    }


def write_answer(answer: Answer, request: Request) -> bytes:
    told: dict[str, Any] = {}
    own = answer.extra if answer.format == FORMAT else {}
    told["candidates"] = [
        _candidate(choice, number) for number, choice in enumerate(answer.choices)
    ]
    told |= own
    if answer.usage is not None:
        told["usageMetadata"] = usage.written(answer.usage)
    told["modelVersion"] = answer.model
    told["responseId"] = answer.id
    return encode(told)


def _candidate(choice: Choice, number: int) -> dict[str, Any]:
    notes = Notes(mode="drop")
    written = [told for part in choice.parts for told in parts.for_client(part, notes)]
    told: dict[str, Any] = {
        "content": {"role": "model", "parts": written},
        "index": number,
    }
    if choice.finish is not None:
        told["finishReason"] = REASONS[choice.finish]
    if choice.logprobs:
        told["logprobsResult"] = {
            "chosenCandidates": [_candidate_token(one) for one in choice.logprobs],
            "topCandidates": [
                {"candidates": [_candidate_token(top) for top in _items(one, "top_logprobs")]}
                for one in choice.logprobs
            ],
        }
    own: dict[str, Any] = (choice.extra or {}).get(FORMAT, {})
    return told | own


def _candidate_token(one: Any) -> dict[str, Any]:
    one = one if type(one) is dict else {}
    return {"token": one.get("token", ""), "logProbability": one.get("logprob", 0.0)}
