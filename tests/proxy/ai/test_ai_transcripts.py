"""Transcripts and translations of what is said, at Gemini."""

from base64 import b64encode

import pytest
from ai_media import WAV, answered, asked, inline

HEARD = {
    "promptTokenCount": 150,
    "candidatesTokenCount": 6,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 50},
        {"modality": "AUDIO", "tokenCount": 100},
    ],
}


@pytest.mark.parametrize("model", ["hears", "hears-at-vertex"])
def test_gemini_writes_what_is_said(sdk, provider, platform, model):
    provider.says(answered({"text": " Hello, my name is Marcelo. \n"}, usage=HEARD))
    got = sdk.audio.transcriptions.with_raw_response.create(
        model=model, file=("a.wav", WAV), language="en", prompt="Marcelo", temperature=0
    )
    made = got.parse()
    assert made.text == "Hello, my name is Marcelo."
    assert (made.usage.total_tokens, made.usage.input_token_details.audio_tokens) == (156, 100)
    mapped = "language=in the instructions, prompt=in the instructions"
    assert got.headers["x-hubpo-mapped"] == mapped
    told = asked(provider)
    said, sound = told["contents"][0]["parts"]
    assert said["text"].startswith("Transcribe")
    assert "'en'" in said["text"]
    assert said["text"].endswith("Marcelo")
    assert sound == inline("audio/wav", b64encode(WAV).decode())
    assert told["generationConfig"] == {"temperature": 0.0}
    assert provider.last.headers["content-type"] == "application/json"
    event = platform.event(got.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens, event.cost_micros) == (150, 6, 150 + 12)


def test_a_translation_is_asked_for_in_english(sdk, provider):
    provider.says(answered({"text": "Good day."}, usage=HEARD))
    made = sdk.audio.translations.create(
        model="hears", file=("a.mp3", b"x"), response_format="text"
    )
    assert made == "Good day.\n"
    said, sound = asked(provider)["contents"][0]["parts"]
    assert "into English" in said["text"]
    assert sound["inlineData"]["mimeType"] == "audio/mpeg"


def test_openais_forms_are_passed_on_as_they_come(web, provider):
    provider.says(b'{"text":"Hi.","more":1}')
    got = web.post(
        "/v1/audio/transcriptions",
        data={"model": "hears-at-openai", "response_format": "verbose_json"},
        files={"file": ("a.wav", WAV)},
    )
    assert got.content == b'{"text":"Hi.","more":1}'
    assert WAV in provider.last.body
    assert b"transcribe-real" in provider.last.body
    assert provider.last.headers["content-type"].startswith("multipart/form-data")


def hear(web, file=("a.wav", WAV), **fields):
    files = {} if file is None else {"file": file}
    files |= {"model": (None, "hears")} if file is None else {}
    data = {"model": "hears"} if file is not None else {}
    return web.post("/v1/audio/transcriptions", data=data | fields, files=files)


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"response_format": "srt"}, "response_format", "json or text only"),
        ({"response_format": "verbose_json"}, "response_format", "json or text only"),
        ({"stream": "true"}, "stream", "Leave it out"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "Leave it out"),
        ({"include[]": "logprobs"}, "include", "Leave it out"),
    ],
)
def test_what_needs_times_is_refused(web, provider, fields, param, says):
    error = hear(web, **fields).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unsupported", param)
    assert says in error["message"]
    assert not provider.asked


@pytest.mark.parametrize(
    ("file", "fields", "param"),
    [
        (None, {}, "file"),
        (("a.wav", b""), {}, "file"),
        (("recording", b"x"), {}, "file"),
        (("a.wav", b"x"), {"temperature": "warm"}, "temperature"),
        (("a.wav", b"x"), {"temperature": "nan"}, "temperature"),
        (("a.wav", b"x"), {"response_format": "pdf"}, "response_format"),
        (("a.wav", b"x" * 26_214_401), {}, "file"),
    ],
)
def test_a_form_that_is_wrong_is_refused(web, provider, file, fields, param):
    if file is not None and file[0] == "recording":
        file = ("recording", b"x", "application/octet-stream")
    got = hear(web, file, **fields)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, "invalid_request", param)
    assert not provider.asked


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (answered({"text": "Hel"}, finish="MAX_TOKENS"), "in parts"),
        (answered(finish="SAFETY"), "filters"),
    ],
)
def test_half_a_transcript_is_none(web, provider, answer, says):
    provider.says(answer)
    got = hear(web)
    assert (got.status_code, got.json()["error"]["code"]) == (400, "model_declined")
    assert says in got.json()["error"]["message"]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (("a.m4a", b"x"), "audio/mp4"),
        (("a.mp3", b"x", "application/octet-stream"), "audio/mpeg"),
        (("a", b"x", "audio/x-flac"), "audio/flac"),
        (("A.WEBM", b"x"), "video/webm"),
        (("a.bin", b"x", "audio/ogg; codecs=opus"), "audio/ogg"),
    ],
)
def test_what_kind_of_recording_it_is_follows_from_its_type_or_name(web, provider, file, kind):
    provider.says(answered({"text": "Hi."}))
    assert hear(web, file).json()["text"] == "Hi."
    assert asked(provider)["contents"][0]["parts"][1] == inline(kind, "eA==")


def test_a_recording_may_hold_what_would_be_too_much_in_json(web, provider):
    provider.says(answered({"text": "Hi."}))
    assert hear(web, ("a.wav", b"{[:," * 100_000)).json()["text"] == "Hi."


def test_silence_is_no_error(web, provider):
    provider.says(answered())
    assert hear(web).json()["text"] == ""
