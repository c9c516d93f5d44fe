"""What can be told of a request without asking a model: for rules that choose by it.

None of this is sure. ``language`` goes by script and by the commonest words; ``complexity`` by what
makes questions hard (length, several steps, numbers, code, constraints); ``likeness`` by shared
words and parts of words, so it finds what is said alike and not what is meant alike (that is
``proxy.ai.meaning``).
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from math import sqrt

from proxy.ai.middle import Media, Request, Text

_WORDS = re.compile(r"\w+")
_CODE = re.compile(
    r"```|\bdef \w+\(|\bfunction\b|\bclass \w+[:({]|[;{}]\s*\n|=>|\bSELECT\b.+\bFROM\b"
    r"|</\w+>|#include"
)
_MATH = re.compile(
    r"\\frac|\\sum|\\int|[∑∫√≤≥∂]|\b(prove|theorem|integral|derivative|equation|solve for)\b"
    r"|\d\s*[-+*/^=]\s*\d",
    re.IGNORECASE,
)
_STEPS = re.compile(
    r"\b(step by step|first|then|finally|compare|analy[sz]e|explain why|trade-?offs?|design|plan"
    r"|optimi[sz]e|evaluate|justify|derive|refactor|debug|architecture)\b",
    re.IGNORECASE,
)
_BOUNDS = re.compile(
    r"\b(must|only|exactly|at least|at most|without|except|unless|constraints?)\b", re.IGNORECASE
)
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_COMMON = {
    "en": "the of and to in is that it for was with you this are what how do i be can",
    "de": "der die das und ist nicht ein eine zu mit auf für von wie ich was den im sie es",
    "fr": "le la les des est et que un une pour dans pas vous qui sur je du avec ce comment",
    "es": "el la los de que y en un una es por con para no se como del qué está su",
    "it": "il di che e la un una per non è con sono del come si le dei mi gli questo",
    "pt": "o a de que e do da em um uma para com não os como por se mais é você",
    "nl": "de het een en van ik is dat niet op te met voor zijn wat hoe je aan er die",
    "pl": "i w nie na się z do to jest że jak o co po tak ale przez dla czy od",
    "tr": "bir ve bu için ne da de mi ile ben çok nasıl var mı olarak daha gibi",
    "sv": "och att det i en jag är som på inte för med du vad hur ett av den har",
}
_WORDS_OF = {name: frozenset(words.split()) for name, words in _COMMON.items()}
_PARTS = 3
_LONGEST = 20_000
"""Characters of a question that are looked at."""


def question(request: Request) -> str:
    """The text of the last message of the user's."""
    for message in reversed(request.messages):
        if message.role == "user":
            text = "\n".join(part.text for part in message.parts if isinstance(part, Text))
            if text:
                return text[:_LONGEST]
    return ""


def language(text: str) -> str:
    """ISO 639-1, or empty where it cannot be told."""
    for name, script in _SCRIPTS:
        if len(script.findall(text)) * 5 > len(text) / 2:
            return name
    words = [word.lower() for word in _WORDS.findall(text[:4000])]
    hits = {name: sum(word in common for word in words) for name, common in _WORDS_OF.items()}
    best = max(hits, key=hits.__getitem__)
    return best if hits[best] and hits[best] * 8 >= len(words) else ""


def contents(request: Request, text: str) -> set[str]:
    """Of ``code``, ``math``, ``images``, ``audio``, ``files``, ``tools``."""
    found = {
        {"image": "images", "audio": "audio", "video": "images", "file": "files"}[part.kind]
        for message in request.messages
        for part in message.parts
        if isinstance(part, Media)
    }
    if request.tools:
        found.add("tools")
    if _CODE.search(text):
        found.add("code")
    if _MATH.search(text):
        found.add("math")
    return found


def complexity(request: Request, text: str) -> int:
    """0 (a greeting) to 100."""
    words = len(_WORDS.findall(text))
    score = min(25.0, words / 8)
    score += 8 * min(4, len(_STEPS.findall(text)))
    score += 4 * min(4, len(_BOUNDS.findall(text)))
    score += 4 * min(3, max(0, text.count("?") - 1))
    score += 15 if _CODE.search(text) else 0
    score += 15 if _MATH.search(text) else 0
    score += min(10, 2 * len(request.tools))
    score += 10 if request.output is not None and request.output.kind == "schema" else 0
    score += min(10, len(request.messages) / 2)
    return min(100, round(score))


def likeness(text: str, example: str) -> int:
    """0 to 100: the cosine of the parts of words of both."""
    ours, size = _profile(text[:2000])
    theirs, other = _known_profile(example)
    if not size or not other:
        return 0
    shared = sum(count * theirs[part] for part, count in ours.items() if part in theirs)
    return round(100 * shared / (size * other))


def _profile(text: str) -> tuple[Counter[str], float]:
    parts: Counter[str] = Counter()
    for word in _WORDS.findall(text.lower()):
        padded = f" {word} "
        parts.update(padded[i : i + _PARTS] for i in range(len(padded) - _PARTS + 1))
    return parts, sqrt(sum(count * count for count in parts.values()))


_known_profile = lru_cache(maxsize=1024)(_profile)
