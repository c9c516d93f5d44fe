"""Speech at Gemini."""

import io
import wave
from base64 import b64encode

import pytest
from ai_media import answered, asked, inline

PCM = bytes(range(64))
SOUND = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 50,
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
}


def spoken(kind="audio/L16;codec=pcm;rate=24000"):
    return answered(inline(kind, b64encode(PCM).decode()), usage=SOUND)


@pytest.mark.parametrize("model", ["speaks", "speaks-at-vertex"])
def test_geminis_speech_is_a_wav_file(sdk, provider, platform, model):
    provider.says(spoken())
    got = sdk.audio.speech.with_raw_response.create(
        model=model,
        input="Hello.",
        voice="alloy",
        instructions="Say cheerfully:",
        response_format="wav",
        speed=1.5,
    )
    assert got.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(got.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(1000) == PCM
    assert got.headers["x-hubpo-dropped"] == "speed"
    assert got.headers["x-hubpo-mapped"] == "voice=Kore, instructions=before the text"
    voice = {"prebuiltVoiceConfig": {"voiceName": "Kore"}}
    assert asked(provider) == {
        "contents": [{"role": "user", "parts": [{"text": "Say cheerfully:\nHello."}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": voice},
        },
    }
    assert provider.last.headers["content-type"] == "application/json"
    assert "accept" not in provider.last.headers
    event = platform.event(got.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens, event.cost_micros) == (10, 50, 10 + 50 * 20)


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("audio/L16;codec=pcm;rate=24000", "audio/pcm"),
        ("audio/l16; rate=16000; channels=1", "audio/pcm;rate=16000"),
        ("audio/pcm", "audio/pcm"),
    ],
)
def test_raw_sound_is_raw(web, provider, kind, content_type):
    provider.says(spoken(kind))
    body = {"model": "speaks", "input": "Hi.", "voice": "Puck", "response_format": "pcm"}
    got = web.post("/v1/audio/speech", json=body)
    assert (got.content, got.headers["content-type"]) == (PCM, content_type)
    assert "x-hubpo-mapped" not in got.headers


def test_who_does_not_say_gets_wav_and_is_told(web, provider):
    provider.says(spoken("audio/L16;rate=16000"))
    got = web.post("/v1/audio/speech", json={"model": "speaks", "input": "Hi.", "voice": "Puck"})
    assert got.headers["content-type"] == "audio/wav"
    assert got.headers["x-hubpo-mapped"] == "response_format=wav"
    with wave.open(io.BytesIO(got.content)) as file:
        assert file.getframerate() == 16000


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac"])
def test_other_kinds_of_sound_are_refused(web, provider, kind):
    body = {"model": "speaks", "input": "Hi.", "voice": "alloy", "response_format": kind}
    error = web.post("/v1/audio/speech", json=body).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unsupported", "response_format")
    assert "can be wav or pcm only" in error["message"]
    body |= {"response_format": "wav", "stream_format": "sse"}
    error = web.post("/v1/audio/speech", json=body).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unsupported", "stream_format")
    assert not provider.asked


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": ["a"]}, "input"),
        ({"voice": None}, "voice"),
        ({"voice": 1}, "voice"),
        ({"response_format": "ogg"}, "response_format"),
        ({"speed": "fast"}, "speed"),
    ],
)
def test_a_request_for_speech_that_is_wrong_is_refused(web, provider, fields, param):
    body = {"model": "speaks", "input": "Hi.", "voice": "alloy"} | fields
    got = web.post("/v1/audio/speech", json=body)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, "invalid_request", param)
    assert not provider.asked


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (answered({"text": "I cannot."}), 400, "model_declined"),
        (answered(inline("audio/L16", "no base64!")), 502, "provider_answer_unreadable"),
        (answered(inline("audio/L16", "\u00e9")), 502, "provider_answer_unreadable"),
        (answered(inline("audio/L16;rate=x", "AAAA")), 502, "provider_answer_unreadable"),
        (answered(inline("audio/L16;channels=70000", "AAAA")), 502, "provider_answer_unreadable"),
        (answered(inline("audio/mpeg", "AAAA")), 502, "provider_answer_unreadable"),
        (b"[]", 502, "provider_answer_unreadable"),
        (b'{"candidates":[]}', 502, "provider_answer_unreadable"),
    ],
)
def test_an_answer_without_raw_sound_is_an_error(web, provider, answer, status, code):
    provider.says(answer)
    body = {"model": "speaks", "input": "Hi.", "voice": "alloy", "response_format": "pcm"}
    got = web.post("/v1/audio/speech", json=body)
    assert (got.status_code, got.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "kind",
    ["audio/x\r\nx-evil: 1", "audio/L16;channels=99999", "audio/L16;rate=999999"],
)
def test_what_no_wav_file_can_hold_is_an_error(web, provider, kind):
    provider.says(answered(inline(kind, "AAAA")))
    got = web.post("/v1/audio/speech", json={"model": "speaks", "input": "Hi.", "voice": "alloy"})
    assert (got.status_code, got.json()["error"]["code"]) == (502, "provider_answer_unreadable")
