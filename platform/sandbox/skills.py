"""What the sandbox model says: the mood of a text, a word-by-word translation, or an echo.

Which of them is wanted shows in the words of the prompt: ``sentiment`` or ``translat`` in a
system or user message.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from sandbox.web import clip
from sandbox.words import BAD, DICTIONARIES, GOOD, LANGUAGES, NEGATIONS

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LANGUAGE = re.compile(rf"\b({'|'.join(name for name in LANGUAGES if len(name) > 2)})\b")
_INTO = re.compile(rf"\b(?:in)?to[\s:'\"`*(]+({'|'.join(LANGUAGES)})\b")


class Reply(Struct, frozen=True):
    """``text`` is the plain answer, ``value`` the same as a JSON object. ``hints`` are its parts
    by the names that a schema may have for them."""

    text: str
    value: dict[str, Any]
    hints: dict[str, Any]


def reply(instructions: str, text: str) -> Reply:
    """``instructions`` are the system messages, ``text`` the last user message."""
    for asked in (instructions.lower(), text.lower()):
        if "sentiment" in asked:
            return _sentiment(_subject(text, "sentiment"))
        if "translat" in asked:
            found = _INTO.search(asked) or _LANGUAGE.search(asked)
            language = LANGUAGES[found[1]] if found else None
            return _translation(_subject(text, "translat"), language)
    return _echo(text)


def tokens(text: str) -> int:
    """A token is four characters, the last one perhaps shorter; an empty text has one."""
    return max(1, -(-len(text) // 4))


def _subject(text: str, marker: str) -> str:
    """The text to work on, where one message holds the instruction, a colon and the text."""
    start = text.lower().find(marker)
    if start < 0:
        return text
    for separator in ("\n", ":"):
        _, found, rest = text[start:].partition(separator)
        if found and rest.strip():
            return rest.strip()
    return text


def _sentiment(text: str) -> Reply:
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    score = 0
    for position, word in enumerate(words):
        worth = (word in GOOD) - (word in BAD)
        if NEGATIONS.intersection(words[max(0, position - 2) : position]):
            worth = -worth
        score += worth
    mood = "positive" if score > 0 else "negative" if score < 0 else "neutral"
    confidence = round(min(0.99, 0.5 + 0.15 * abs(score)), 2)
    value = {"sentiment": mood, "confidence": confidence}
    text = msgspec.json.encode(value).decode()
    return Reply(text, value, value | {"label": mood, "score": confidence})


def _translation(text: str, language: str | None) -> Reply:
    if language is None:
        said = "The sandbox model translates into German, French and Spanish only."
        return Reply(said, {"translation": said}, {"translation": said, "text": said})
    dictionary = DICTIONARIES[language]

    def word(match: re.Match[str]) -> str:
        found = dictionary.get(match[0].lower())
        if found is None:
            return match[0]
        return found[0].upper() + found[1:] if match[0][0].isupper() else found

    translated = _WORD.sub(word, text)
    value = {"translation": translated, "language": language}
    return Reply(translated, value, value | {"text": translated})


def _echo(text: str) -> Reply:
    count = len(text.split())
    words = "1 word" if count == 1 else f"{count} words"
    said = (
        f"This is the sandbox model, which answers without thinking. You sent {words}: "
        f"“{clip(text, 200)}”"
    )
    return Reply(said, {"answer": said}, {"answer": said, "text": said})
