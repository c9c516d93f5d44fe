"""Prompt templates: text with ``{{ name }}`` where a variable goes, and nothing else.

A name is a letter or underscore followed by letters, digits and underscores, all ASCII.
Single braces and a lone ``}}`` are plain text, since prompts often show JSON; a ``{{``
that opens no placeholder is a mistake. There is no escape and no expression, and what
is put in is never read as a template again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

Template = tuple[str, ...]
"""Literals and names by turns: even positions are literals (perhaps empty), odd ones names."""


class TemplateError(ValueError):
    """Broken braces. ``position`` counts characters from 0, ``line`` and ``column`` from 1."""

    def __init__(self, text: str, position: int) -> None:
        self.position = position
        self.line = text.count("\n", 0, position) + 1
        self.column = position - (text.rfind("\n", 0, position) + 1) + 1
        super().__init__(
            f"Line {self.line}, column {self.column}: '{{{{' must be followed by a variable's "
            "name and '}}', as in '{{ text }}'."
        )


def parse(text: str) -> Template:
    """Raises TemplateError at the first ``{{`` that opens no placeholder."""
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        parts += (_literal(text, end, match.start()), match[1])
        end = match.end()
    parts.append(_literal(text, end, len(text)))
    return tuple(parts)


def _literal(text: str, start: int, end: int) -> str:
    broken = text.find("{{", start, end)
    if broken >= 0:
        raise TemplateError(text, broken)
    return text[start:end]


def placeholders(text: str) -> tuple[str, ...]:
    """The names used, each once, in order of first use. Raises TemplateError."""
    return tuple(dict.fromkeys(parse(text)[1::2]))


def render(template: Template, values: Mapping[str, str]) -> str:
    """One pass: a value that looks like a placeholder stays as it is. Every name must be given."""
    return "".join(values[part] if position % 2 else part for position, part in enumerate(template))
