"""What a Gemini model has made: pictures, sound or text in the parts of its answer."""

from __future__ import annotations

from typing import Literal

from proxy.ai.errors import AnswerUnreadable
from proxy.ai.formats.gemini.answer import read_answer
from proxy.ai.formats.gemini.names import FORMAT
from proxy.ai.middle import Answer, Media, Text

_LONGEST = 300


def read_made(body: bytes) -> Answer:
    """Raises AnswerUnreadable."""
    answer = read_answer(body)
    if not answer.choices:
        raise AnswerUnreadable
    return answer


def made(answer: Answer, kind: Literal["image", "audio"]) -> tuple[list[Media], str]:
    """What there is of the kind, and why it is nothing where it is."""
    parts = [part for choice in answer.choices for part in choice.parts]
    found = [part for part in parts if isinstance(part, Media) and part.kind == kind and part.data]
    return found, "" if found else why(answer)


def text(answer: Answer) -> str:
    """Of the first choice, thoughts left out."""
    return "".join(part.text for part in answer.choices[0].parts if isinstance(part, Text))


def why(answer: Answer) -> str:
    """What it said in place of what was wanted, or else why it ended."""
    said = text(answer).strip()
    if said:
        return f"It said: {said[:_LONGEST]}"
    choice = answer.choices[0]
    own = (choice.extra or {}).get(FORMAT, {})
    message, reason = own.get("finishMessage"), own.get("finishReason")
    if type(message) is str and message:
        return message[:_LONGEST]
    if choice.finish == "content_filter":
        return "Its filters refused."
    return f"It ended with {str(reason or choice.finish)[:50]}."
