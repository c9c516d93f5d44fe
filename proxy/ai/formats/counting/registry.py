"""The formats in which tokens are counted, by name.

``vertex`` is what Vertex AI is told: it answers as Gemini's API does, and takes the parts of a
request where that takes the request.
"""

from __future__ import annotations

from proxy.ai.formats.counting import Counting
from proxy.ai.formats.gemini import count as gemini
from proxy.ai.formats.messages import count as messages
from proxy.ai.formats.responses import count as responses

COUNTS: dict[str, Counting] = {
    "messages": Counting(
        "messages",
        messages.read_count,
        messages.write_count,
        messages.read_counted,
        messages.write_counted,
    ),
    "gemini": Counting(
        "gemini", gemini.read_count, gemini.write_count, gemini.read_counted, gemini.write_counted
    ),
    "vertex": Counting(
        "vertex", gemini.read_count, gemini.write_parts, gemini.read_counted, gemini.write_counted
    ),
    "responses": Counting(
        "responses",
        responses.read_count,
        responses.write_count,
        responses.read_counted,
        responses.write_counted,
    ),
}

FAMILY = {"vertex": "gemini"}
"""Whose errors it has, and whose own parameters it takes, where the name is another."""
