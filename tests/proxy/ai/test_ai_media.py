"""Pictures, speech, transcripts and moderation at providers of other formats."""

import io
import json
import wave
from base64 import b64encode

import openai
import pytest
from ai_cast import ALICE

PNG = b64encode(b"\x89PNG-a-picture").decode()
USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 1290,
    "totalTokenCount": 1300,
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
}


def answered(*parts, finish="STOP", usage=None):
    choice = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return json.dumps({"candidates": [choice], "usageMetadata": usage or USAGE}).encode()


def inline(kind, data):
    return {"inlineData": {"mimeType": kind, "data": data}}


@pytest.fixture
def sdk(platform):
    return openai.OpenAI(api_key=ALICE, base_url=f"{platform.url}/v1", max_retries=0)


def asked(provider):
    return json.loads(provider.last.body)


# Pictures

GOOGLE = "/v1beta/models/"
VERTEX = "/v1beta1/projects//locations/global/publishers/google/models/"


@pytest.mark.parametrize(("model", "where"), [("paints", GOOGLE), ("paints-at-vertex", VERTEX)])
def test_a_picture_of_geminis_reaches_openais_client(sdk, provider, platform, model, where):
    provider.says(answered(inline("image/png", PNG)))
    got = sdk.images.with_raw_response.generate(
        model=model, prompt="a cat", size="1536x1024", quality="high", n=1
    )
    assert got.headers["x-hubpo-mapped"] == "size=aspectRatio 3:2"
    assert got.headers["x-hubpo-dropped"] == "quality"
    made = got.parse()
    assert [one.b64_json for one in made.data] == [PNG]
    assert made.output_format == "png"
    assert (made.usage.total_tokens, made.usage.output_tokens_details.image_tokens) == (1300, 1290)
    line = f"POST {where}gemini-2.5-flash-image:generateContent HTTP/1.1"
    assert provider.last.line == line
    assert asked(provider) == {
        "contents": [{"role": "user", "parts": [{"text": "a cat"}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "3:2"},
        },
    }
    event = platform.event(got.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens) == (10, 1290)
    assert event.cost_micros == 10 + 1290 * 30


@pytest.mark.parametrize(("model", "where"), [("imagines", GOOGLE), ("imagines-at-vertex", VERTEX)])
def test_pictures_of_imagens_do(sdk, provider, platform, model, where):
    prediction = {"mimeType": "image/jpeg", "bytesBase64Encoded": PNG}
    provider.says(json.dumps({"predictions": [prediction, prediction | {"prompt": "p"}]}).encode())
    got = sdk.images.with_raw_response.generate(
        model=model, prompt="a cat", n=2, output_format="jpeg", output_compression=80, size="auto"
    )
    made = got.parse()
    assert [one.b64_json for one in made.data] == [PNG, PNG]
    assert [one.revised_prompt for one in made.data] == [None, "p"]
    assert made.output_format == "jpeg"
    assert provider.last.line == f"POST {where}imagen-4.0-generate-001:predict HTTP/1.1"
    assert asked(provider) == {
        "instances": [{"prompt": "a cat"}],
        "parameters": {
            "sampleCount": 2,
            "outputOptions": {"mimeType": "image/jpeg", "compressionQuality": 80},
        },
    }
    assert platform.event(got.headers["x-request-id"]).cost_micros is None


def test_who_wants_an_address_gets_one_that_holds_the_picture(sdk, provider):
    provider.says(answered(inline("image/png", PNG)))
    made = sdk.images.generate(model="paints", prompt="a cat", response_format="url")
    assert made.data[0].url == f"data:image/png;base64,{PNG}"


def test_openais_own_are_passed_on_as_they_come(web, provider):
    body = b'{"created":1,"data":[{"b64_json":"x"}],"more":true}'
    provider.says(body)
    answer = web.post(
        "/v1/images/generations", json={"model": "paints-at-openai", "prompt": "a", "n": 3}
    )
    assert answer.content == body
    assert provider.last.line == "POST /v1/images/generations HTTP/1.1"
    assert asked(provider) == {"model": "gpt-image-real", "prompt": "a", "n": 3}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answered({"text": "Once upon a time"}), "It said: Once upon a time"),
        (answered(finish="IMAGE_SAFETY"), "Its filters refused."),
        (
            b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":10}}',
            "Its filters refused.",
        ),
        (answered(finish="NO_IMAGE"), "It ended with NO_IMAGE."),
        (b'{"predictions":[{"raiFilteredReason":"no violence"}]}', "no violence"),
        (b"{}", "All of them were filtered."),
    ],
)
def test_no_picture_is_an_error_that_says_why_and_what_it_cost(
    web, provider, platform, answer, why
):
    provider.says(answer)
    got = web.post("/v1/images/generations", json={"model": "paints", "prompt": "a"})
    assert got.status_code == 400
    assert got.json()["error"]["code"] == "model_declined"
    assert why in got.json()["error"]["message"]
    if b"usageMetadata" in answer:
        assert platform.event(got.headers["x-request-id"]).input_tokens == 10


@pytest.mark.parametrize(
    ("model", "fields", "param", "says"),
    [
        ("paints", {"n": 2}, "n", "can be 1 only"),
        ("imagines", {"n": 5}, "n", "1 to 4 only"),
        ("paints", {"output_format": "webp"}, "output_format", "png only"),
        ("imagines", {"output_format": "webp"}, "output_format", "png or jpeg only"),
        ("paints", {"background": "transparent"}, "background", "opaque only"),
        ("paints", {"stream": True}, "stream", "Leave it out"),
    ],
)
def test_what_google_lacks_is_refused_by_name(web, provider, model, fields, param, says):
    got = web.post("/v1/images/generations", json={"model": model, "prompt": "a"} | fields)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, "parameter_unsupported", param)
    assert says in error["message"]
    assert not provider.asked


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "0x5"}, "size"),
        ({"response_format": "gif"}, "response_format"),
    ],
)
def test_a_request_for_a_picture_that_is_wrong_is_refused(web, provider, fields, param):
    got = web.post("/v1/images/generations", json={"model": "paints", "prompt": "a"} | fields)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, "invalid_request", param)
    assert not provider.asked


def test_gemini_makes_a_picture_from_others(sdk, provider, platform):
    provider.says(answered(inline("image/png", PNG)))
    got = sdk.images.with_raw_response.edit(
        model="paints",
        image=[("a.png", b"first"), ("b", b"second", "image/jpeg")],
        prompt="a cat with this hat",
        size="1024x1024",
        n=1,
    )
    assert [one.b64_json for one in got.parse().data] == [PNG]
    line = "POST /v1beta/models/gemini-2.5-flash-image:generateContent HTTP/1.1"
    assert provider.last.line == line
    assert provider.last.headers["content-type"] == "application/json"
    told = asked(provider)
    assert told["contents"][0]["parts"] == [
        inline("image/png", b64encode(b"first").decode()),
        inline("image/jpeg", b64encode(b"second").decode()),
        {"text": "a cat with this hat"},
    ]
    assert told["generationConfig"]["imageConfig"] == {"aspectRatio": "1:1"}
    assert platform.event(got.headers["x-request-id"]).cost_micros == 10 + 1290 * 30


@pytest.mark.parametrize(
    ("model", "image", "fields", "code", "param"),
    [
        ("paints", ("a.png", b"x"), {"n": "2"}, "parameter_unsupported", "n"),
        ("paints", ("a.png", b"x"), {"mask": "x"}, "parameter_unsupported", "mask"),
        ("paints", ("a.png", b"x"), {"stream": "true"}, "parameter_unsupported", "stream"),
        ("imagines", ("a.png", b"x"), {}, "parameter_unsupported", "image"),
        ("paints", ("a.png", b""), {}, "invalid_request", "image"),
        ("paints", ("a.txt", b"x"), {}, "invalid_request", "image"),
        ("paints", ("a.png", b"x"), {"n": "two"}, "invalid_request", "n"),
        ("paints", ("a.png", b"x"), {"prompt": ""}, "invalid_request", "prompt"),
        ("paints", ("a.png", b"x"), {"size": "big"}, "invalid_request", "size"),
    ],
)
def test_a_form_for_a_picture_that_will_not_do_is_refused(
    web, provider, model, image, fields, code, param
):
    data = {"model": model, "prompt": "a"} | fields
    got = web.post("/v1/images/edits", data=data, files={"image": image})
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, code, param)
    assert not provider.asked


def test_an_edit_without_a_picture_is_refused(web, provider):
    files = {"model": (None, "paints"), "prompt": (None, "a")}
    error = web.post("/v1/images/edits", files=files).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", "image")


# Speech

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


# Transcripts

HEARD = {
    "promptTokenCount": 150,
    "candidatesTokenCount": 6,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 50},
        {"modality": "AUDIO", "tokenCount": 100},
    ],
}
WAV = b"RIFF\r\n--not-the-boundary\r\n\r\nsound\x00\xff"


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


# Moderation

MISTRAL = {
    "categories": {"hate_and_discrimination": True, "selfharm": False, "pii": False},
    "category_scores": {"hate_and_discrimination": 0.9, "selfharm": 0.01, "pii": 0.2},
}


def test_mistral_judges_in_openais_categories(sdk, provider, platform):
    calm = {"categories": {"violence_and_threats": False}, "category_scores": {}}
    body = {"id": "m-1", "results": [MISTRAL, calm], "usage": {"prompt_tokens": 30}}
    provider.says(json.dumps(body).encode())
    got = sdk.moderations.with_raw_response.create(model="judges", input=["a", "b"])
    assert asked(provider) == {"model": "mistral-moderation-latest", "input": ["a", "b"]}
    assert provider.last.line == "POST /v1/moderations HTTP/1.1"
    first, second = got.parse().results
    assert (first.flagged, second.flagged) == (True, False)
    assert (first.categories.hate, first.categories.self_harm) == (True, False)
    assert (first.category_scores.hate, first.category_scores.sexual) == (0.9, 0.0)
    assert first.category_applied_input_types.hate == ["text"]
    assert first.category_applied_input_types.sexual == []
    assert got.headers["x-hubpo-mapped"] == "categories=Mistral's"
    # And in its own, for its own clients.
    raw = json.loads(got.text)["results"][0]
    assert raw["categories"]["hate_and_discrimination"] is True
    assert raw["category_scores"]["pii"] == 0.2
    event = platform.event(got.headers["x-request-id"])
    assert (event.input_tokens, event.cost_micros) == (30, 30)


def test_parts_are_one_text_and_pictures_are_refused(web, provider):
    provider.says(json.dumps({"results": [MISTRAL]}).encode())
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    got = web.post("/v1/moderations", json={"model": "judges", "input": parts})
    assert got.status_code == 200
    assert asked(provider)["input"] == ["a\nb"]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    got = web.post("/v1/moderations", json={"model": "judges", "input": [*parts, picture]})
    error = got.json()["error"]
    assert (error["code"], error["param"]) == ("parameter_unsupported", "input")
    assert len(provider.asked) == 1


@pytest.mark.parametrize("given", [None, 1, [], [1], ["a", {"type": "text"}], {"text": "a"}])
def test_what_cannot_be_judged_is_refused(web, provider, given):
    got = web.post("/v1/moderations", json={"model": "judges", "input": given})
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, "invalid_request", "input")
    assert not provider.asked


def test_a_score_that_is_no_score_is_left_out(web, provider):
    scores = MISTRAL["category_scores"] | {"pii": 10**400}
    provider.says(json.dumps({"results": [MISTRAL | {"category_scores": scores}]}).encode())
    got = web.post("/v1/moderations", json={"model": "judges", "input": "a"})
    assert got.status_code == 200, got.text
    assert "pii" not in got.json()["results"][0]["category_scores"]


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"results":[{}]}', json.dumps({"results": [MISTRAL] * 2}).encode()]
)
def test_a_judgement_that_is_none_is_said_to_be(web, provider, body):
    provider.says(body)
    got = web.post("/v1/moderations", json={"model": "judges", "input": "a"})
    assert (got.status_code, got.json()["error"]["code"]) == (502, "provider_answer_unreadable")


# All of them

DOORS = {
    "paints-at-claude": ("/v1/images/generations", {"prompt": "a"}),
    "judges-at-cohere": ("/v1/moderations", {"input": "a"}),
}


@pytest.mark.parametrize("model", sorted(DOORS))
def test_where_no_way_leads_nobody_is_asked(web, provider, model):
    path, fields = DOORS[model]
    got = web.post(path, json={"model": model} | fields)
    assert (got.status_code, got.json()["error"]["code"]) == (400, "operation_unsupported")
    assert not provider.asked


def test_nor_with_a_form(web, provider):
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        data, files = {"model": "hears-at-claude"}, {"file": ("a.wav", WAV)}
        got = web.post(path, data=data, files=files)
        assert (got.status_code, got.json()["error"]["code"]) == (400, "operation_unsupported")
    data, files = {"model": "paints"}, {"image": ("a.png", b"x")}
    got = web.post("/v1/images/variations", data=data, files=files)
    assert (got.status_code, got.json()["error"]["code"]) == (400, "operation_unsupported")
    assert not provider.asked


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/images/generations", {"model": "paints", "prompt": "a"}),
        ("/v1/audio/speech", {"model": "speaks", "input": "a", "voice": "alloy"}),
    ],
)
def test_googles_errors_come_in_openais_shape(web, provider, path, body):
    fault = {"error": {"code": 400, "message": "Bad voice.", "status": "INVALID_ARGUMENT"}}
    provider.says(json.dumps(fault).encode(), status=400)
    got = web.post(path, json=body)
    assert got.status_code == 400
    assert got.json()["error"]["message"] == "Bad voice."


def test_a_pause_that_google_asks_for_is_told(web, provider, platform):
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.4s"}
    fault = {"error": {"code": 429, "message": "Slow.", "status": "X", "details": [retry]}}
    provider.says(json.dumps(fault).encode(), status=429)
    got = web.post("/v1/images/generations", json={"model": "paints", "prompt": "a"})
    assert (got.status_code, got.headers["retry-after"]) == (429, "1")
    assert platform.event(got.headers["x-request-id"]).error_code == "provider_rate_limited"
