"""Pictures, speech and transcripts between formats: by Google's and OpenAI's own types, and by what
was recorded."""

import json

import pytest
from google.genai import types
from msgspec import structs
from openai.types.audio import Transcription
from recordings import exchanges, needed

from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest, ModelDeclined
from proxy.ai.formats import gemini
from proxy.ai.formats.media import gemini_images, images
from proxy.ai.formats.media.registry import EDITS, FAMILY, IMAGES, SPEECH, TRANSCRIPTS
from proxy.ai.formats.moderation.registry import FAMILY as JUDGES
from proxy.ai.formats.moderation.registry import MODERATIONS
from proxy.ai.formats.operations import OPERATIONS
from proxy.ai.middle.media import TranscriptRequest
from proxy.ai.middle.rules import Notes

ALL = IMAGES | EDITS | SPEECH | TRANSCRIPTS


def test_each_format_belongs_to_a_family_and_each_operation_has_its_own():
    assert set(FAMILY) == set(ALL)
    assert set(JUDGES) == set(MODERATIONS)
    for operation in (
        "images",
        "image_edits",
        "speech",
        "transcriptions",
        "translations",
        "moderations",
    ):
        assert operation in OPERATIONS[operation]


@pytest.mark.parametrize("name", sorted(ALL | MODERATIONS))
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b'"x"', b"\xff", b"--\r\n"])
def test_what_is_no_request_or_answer_is_said_so(name, body):
    format_ = (ALL | MODERATIONS)[name]
    with pytest.raises((InvalidJson, InvalidRequest)):
        format_.read_request(body)
    assert format_.read_usage(body) is None
    if name != "speech":  # Whatever it is, it is sound.
        with pytest.raises(AnswerUnreadable):
            format_.read_answer(body)


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        (gemini_images, {"model": "m", "prompt": "a", "size": "1024x1792"}),
        (SPEECH["gemini_speech"], {"model": "m", "input": "a", "voice": "nova"}),
    ],
)
def test_what_is_asked_of_gemini_fits_its_own_types(format_, body):
    request = format_.read_request(json.dumps(body).encode())
    told = json.loads(format_.write_request(request, "gemini-real", Notes()))
    assert set(told) == {"contents", "generationConfig"}
    assert [types.Content.model_validate(one) for one in told["contents"]]
    config = types.GenerateContentConfig.model_validate(told["generationConfig"])
    assert config.image_config is not None or config.speech_config is not None


@pytest.mark.parametrize(
    ("size", "model", "shape"),
    [
        ("1024x1024", "gemini-2.5-flash-image", "1:1"),
        ("1024x1536", "gemini-2.5-flash-image", "2:3"),
        ("1792x1024", "gemini-2.5-flash-image", "16:9"),
        ("1024x1536", "imagen-4.0-generate-001", "3:4"),
        ("1x99999", "publishers/imagen-4.0", "9:16"),
    ],
)
def test_the_nearest_shape_is_told(size, model, shape):
    notes = Notes()
    request = images.read_request(json.dumps({"prompt": "a", "size": size}).encode())
    told = json.loads(gemini_images.write_request(request, model, notes))
    config = told.get("parameters") or told["generationConfig"]["imageConfig"]
    assert config["aspectRatio"] == shape
    assert notes.mapped == [f"size=aspectRatio {shape}"]


def test_a_request_for_pictures_is_the_same_after_writing_and_reading():
    body = {"model": "m", "prompt": "a", "n": 2, "size": "auto", "stream": False, "svg": {"a": 1}}
    request = images.read_request(json.dumps(body).encode())
    assert json.loads(images.write_request(request, "m", Notes())) == body


def test_an_administrator_may_have_it_all_dropped():
    notes = Notes(mode="drop")
    body = {"prompt": "a", "n": 9, "output_format": "webp", "background": "transparent"}
    request = images.read_request(json.dumps(body).encode())
    told = json.loads(gemini_images.write_request(request, "imagen-4.0-generate-001", notes))
    assert told["parameters"] == {"sampleCount": 4}
    assert notes.dropped == ["background", "n", "output_format"]


@needed
def test_a_recorded_answer_without_a_picture_is_told_as_such():
    recorded = [one for one in exchanges("gemini") if "flash-image:" in one.url]
    assert recorded
    for exchange in recorded:
        answer = gemini_images.read_answer(exchange.response)
        assert answer.usage.measured.count == 0
        assert structs.replace(answer.usage, measured=None) == gemini.read_usage(exchange.response)
        with pytest.raises(ModelDeclined, match="It said: In a hidden cave"):
            images.write_answer(answer, images.read_request(b'{"prompt":"a"}'))


@needed
def test_recorded_answers_about_recordings_are_transcripts():
    format_, client = TRANSCRIPTS["gemini_transcripts"], TRANSCRIPTS["transcriptions"]
    request = TranscriptRequest(format="transcriptions", model="m", sound=b"x", media_type="")
    seen = 0
    for provider in ("gemini", "vertex"):
        for exchange in exchanges(provider, stream=False):
            if b'"AUDIO"' not in exchange.response:
                continue
            recorded = json.loads(exchange.response)
            parts = recorded["candidates"][0]["content"]["parts"]
            answer = format_.read_answer(exchange.response)
            if any("functionCall" in part for part in parts):
                continue
            made = Transcription.model_validate_json(client.write_answer(answer, request))
            assert made.text == "".join(part.get("text", "") for part in parts).strip()
            counted = recorded["usageMetadata"]
            assert made.usage.input_tokens == counted["promptTokenCount"]
            heard = [
                one["tokenCount"]
                for one in counted["promptTokensDetails"]
                if one["modality"] == "AUDIO"
            ]
            assert made.usage.input_token_details.audio_tokens == sum(heard)
            seen += 1
    assert seen >= 20
