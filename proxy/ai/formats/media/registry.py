"""The formats of pictures, speech and transcripts, by operation and name."""

from __future__ import annotations

from proxy.ai.formats import Simple
from proxy.ai.formats.media import (
    edits,
    gemini_images,
    gemini_speech,
    gemini_transcripts,
    images,
    speech,
)
from proxy.ai.formats.media.transcripts import TRANSCRIPTIONS, TRANSLATIONS

IMAGES: dict[str, Simple] = {images.NAME: images, gemini_images.NAME: gemini_images}
EDITS: dict[str, Simple] = {edits.NAME: edits, gemini_images.NAME: gemini_images}
SPEECH: dict[str, Simple] = {speech.NAME: speech, gemini_speech.NAME: gemini_speech}
TRANSCRIPTS: dict[str, Simple] = {
    TRANSCRIPTIONS.NAME: TRANSCRIPTIONS,
    TRANSLATIONS.NAME: TRANSLATIONS,
    gemini_transcripts.NAME: gemini_transcripts,
}

FAMILY = {
    images.NAME: "chat",
    edits.NAME: "chat",
    speech.NAME: "chat",
    TRANSCRIPTIONS.NAME: "chat",
    TRANSLATIONS.NAME: "chat",
    gemini_images.NAME: "gemini",
    gemini_speech.NAME: "gemini",
    gemini_transcripts.NAME: "gemini",
}
"""Whose errors they have."""
