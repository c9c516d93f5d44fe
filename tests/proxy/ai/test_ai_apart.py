"""What is billed otherwise than by the token, through the gateway: counts, costs and records."""

import io
import json
import wave

import pytest

from contract.usage import Measured
from proxy.ai import delivered, estimate
from proxy.ai.errors import TooManyValues

IMAGES, EDITS = "/v1/images/generations", "/v1/images/edits"
HEAR, SPEAK = "/v1/audio/transcriptions", "/v1/audio/speech"
PICTURE = {"b64_json": "aGk="}
USAGE = {"input_tokens": 40, "output_tokens": 0, "total_tokens": 40}


def wav(seconds: float, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(bytes(2 * round(seconds * rate)))
    return file.getvalue()


def billed(platform, answer):
    event = platform.event(answer.headers["x-request-id"])
    return event.measured, event.cost_micros


@pytest.fixture
def draw(web, provider, platform):
    """Asks for pictures of a provider that answers this, and returns what is recorded."""

    def ask(answer, model="draws", **fields):
        provider.says(json.dumps(answer).encode())
        return billed(platform, web.post(IMAGES, json={"model": model, "prompt": "a"} | fields))

    return ask


# Pictures


def test_pictures_that_came_are_paid_and_not_those_that_were_asked_for(draw):
    answer = {"data": [PICTURE, {"b64_json": None}, {"url": "https://example.com/a.png"}]}
    measured, cost = draw(answer, n=3, size="1024x1024", quality="standard")
    assert measured == Measured("picture", 2, "1024x1024/standard")
    assert cost == 2 * 40_000


@pytest.mark.parametrize(
    ("said", "asked", "kind", "cost"),
    [
        ({}, {"size": "1024x1024", "quality": "HD"}, "1024x1024/hd", 80_000),
        # What the provider says counts, whatever was asked for.
        ({"size": "1024x1024", "quality": "hd"}, {"size": "auto"}, "1024x1024/hd", 80_000),
        ({"quality": "standard"}, {"size": "1024x1024"}, "1024x1024/standard", 40_000),
        # A price of any quality, also of one that nobody said.
        ({}, {"size": "1024x1792"}, "1024x1792/auto", 120_000),
        ({}, {"size": "1024x1792", "quality": "hd"}, "1024x1792/hd", 120_000),
        # No such kind: unknown, and not what another kind costs.
        ({}, {}, "auto/auto", None),
        ({}, {"size": "1024x1024"}, "1024x1024/auto", None),
        ({}, {"size": "512x512", "quality": "hd"}, "512x512/hd", None),
        ({"size": 7, "quality": None}, {"quality": ["hd"]}, "auto/auto", None),
    ],
)
def test_a_picture_costs_what_its_kind_does(draw, said, asked, kind, cost):
    assert draw({"data": [PICTURE], **said}, **asked) == (Measured("picture", 1, kind), cost)


def test_other_kinds_cost_what_is_declared_for_them(draw):
    unlisted = {"data": [PICTURE] * 2, "size": "512x512", "quality": "low"}
    assert draw(unlisted, "draws-anything") == (Measured("picture", 2, "512x512/low"), 400_000)
    listed = {"data": [PICTURE], "size": "1024x1024", "quality": "hd"}
    assert draw(listed, "draws-anything")[1] == 80_000


def test_tokens_are_paid_besides_where_they_have_a_price(draw):
    answer = {"data": [PICTURE], "size": "1024x1024", "quality": "hd", "usage": USAGE}
    assert draw(answer, "draws-for-tokens-too")[1] == 80_000 + 40 * 5
    assert draw(answer, "draws")[1] == 80_000
    del answer["usage"]
    assert draw(answer, "draws-for-tokens-too")[1] is None


@pytest.mark.parametrize(
    "answer", [[], {}, {"data": {}}, {"data": None}, {"data": [{"image": "aGk="}]}, "<html>"]
)
def test_an_answer_that_cannot_be_counted_has_no_known_cost(draw, answer):
    assert draw(answer, "draws-anything") == (Measured("picture"), None)


def test_a_list_without_a_price_of_pictures_is_paid_by_the_token_as_before(draw):
    usage = USAGE | {"output_tokens": 100, "output_tokens_details": {"image_tokens": 100}}
    measured, cost = draw({"data": [PICTURE], "usage": usage}, "paints-at-openai")
    assert (measured.count, cost) == (1, 40 * 1 + 100 * 30)


def test_imagens_pictures_are_counted_without_those_that_were_filtered(web, provider, platform):
    made = {"mimeType": "image/png", "bytesBase64Encoded": "aGk="}
    filtered = {"raiFilteredReason": "no violence"}
    provider.says(json.dumps({"predictions": [made, filtered, made]}).encode())
    answer = web.post(IMAGES, json={"model": "imagines-for-money", "prompt": "a", "n": 3})
    assert len(answer.json()["data"]) == 2
    assert "usage" not in answer.json()
    assert billed(platform, answer) == (Measured("picture", 2, "auto/auto"), 80_000)
    provider.says(json.dumps({"predictions": [filtered]}).encode())
    answer = web.post(IMAGES, json={"model": "imagines-for-money", "prompt": "a"})
    assert answer.json()["error"]["code"] == "model_declined"
    assert billed(platform, answer)[1] == 0


def test_what_a_form_asks_for_is_read_from_it(web, provider, platform):
    provider.says(json.dumps({"data": [PICTURE] * 2}).encode())
    data = {"model": "draws", "prompt": "a", "size": "1024x1024", "quality": "hd", "n": "2"}
    for path in (EDITS, "/v1/images/variations"):
        answer = web.post(path, data=data, files={"image": ("a.png", b"x\r\n--y")})
        assert billed(platform, answer) == (Measured("picture", 2, "1024x1024/hd"), 160_000)


def streamed(*events):
    return b"".join(b"event: x\ndata: " + json.dumps(one).encode() + b"\n\n" for one in events)


PARTIAL = {"type": "image_generation.partial_image", "b64_json": "aGk=", "size": "1024x1024"}
COMPLETED = {"type": "image_generation.completed", "quality": "hd", "usage": USAGE}


def test_of_a_stream_whole_pictures_are_counted(web, provider, platform):
    events = streamed(PARTIAL, PARTIAL | COMPLETED, PARTIAL, PARTIAL | COMPLETED)
    provider.says(events, content_type="text/event-stream")
    answer = web.post(IMAGES, json={"model": "draws", "prompt": "a", "stream": True})
    assert answer.content == events
    assert billed(platform, answer) == (Measured("picture", 2, "1024x1024/hd"), 160_000)


def test_of_one_that_breaks_off_before_a_picture_nothing_is_known(web, provider, platform):
    provider.says(streamed(PARTIAL), content_type="text/event-stream", abort=True)
    answer = web.post(IMAGES, json={"model": "draws", "prompt": "a", "stream": True})
    assert billed(platform, answer) == (Measured("picture"), None)


# Sound


@pytest.fixture
def hear(web, provider, platform):
    def ask(said, model="hears-by-the-hour", sound=b"ID3", path=HEAR, **fields):
        kind = "application/json" if said.startswith(b"{") else "text/plain"
        provider.says(said, content_type=kind)
        files = {"file": ("a.wav", sound)}
        return billed(platform, web.post(path, data={"model": model} | fields, files=files))

    return ask


@pytest.mark.parametrize("path", [HEAR, "/v1/audio/translations"])
@pytest.mark.parametrize(
    ("said", "milliseconds", "cost"),
    [
        # 0.36 an hour is 100 micro-units a second.
        ({"text": "Hi.", "usage": {"type": "duration", "seconds": 6}}, 6000, 600),
        ({"text": "Hi.", "duration": 90.5}, 90_500, 9050),
        ({"text": "Hi.", "duration": "8.470000267028809"}, 8470, 847),
        # What is billed, and not what was measured.
        ({"duration": 5.2, "usage": {"type": "duration", "seconds": 6}}, 6000, 600),
        ({"text": "Hi."}, None, None),
        ({"text": "Hi.", "duration": -1}, None, None),
        ({"text": "Hi.", "duration": "long"}, None, None),
        ({"text": "Hi.", "duration": True}, None, None),
        ({"text": "Hi.", "duration": 1e300}, None, None),
        ({"text": "Hi.", "duration": 10**400}, None, None),
    ],
)
def test_sound_costs_by_its_length(hear, said, milliseconds, cost, path):
    told = hear(json.dumps(said).encode(), path=path)
    assert told == (Measured("millisecond", milliseconds), cost)


def test_a_price_that_is_no_whole_number_of_micros_a_second_is_exact(hear):
    # 111,000 micro-units an hour are 30.8333... a second.
    said = {"usage": {"type": "duration", "seconds": 3}}
    assert hear(json.dumps(said).encode(), "hears-cheaply")[1] == 92
    said = {"usage": {"type": "duration", "seconds": 3600}}
    assert hear(json.dumps(said).encode(), "hears-cheaply")[1] == 111_000


def test_text_says_no_length_and_an_uncompressed_recording_does(hear):
    assert hear(b"Hi.", response_format="text") == (Measured("millisecond"), None)
    told = hear(b"Hi.", sound=wav(2.25), response_format="text")
    assert told == (Measured("millisecond", 2250), 225)


@pytest.mark.parametrize(
    "sound",
    [
        b"RIFF",
        b"RIFF\0\0\0\0WAVEfmt ",
        wav(1)[:-1],  # not whole
        wav(1)[:40] + b"\xff\xff\xff\xff" + wav(1)[44:],  # as long as it will be
        wav(1).replace(b"\x01\x00\x01\x00", b"\x55\x00\x01\x00", 1),  # compressed
        wav(1).replace((8000).to_bytes(4, "little"), bytes(4), 1),
    ],
)
def test_a_recording_that_does_not_say_its_length_for_certain_is_not_believed(hear, sound):
    assert hear(b"Hi.", sound=sound) == (Measured("millisecond"), None)


# Speech


@pytest.mark.parametrize(("text", "count"), [("Hello.", 6), ("Grüße 👋", 7), ("\n" * 3, 3)])
def test_speech_costs_by_its_characters(web, provider, platform, text, count):
    provider.says(b"\xff\xf3 sound", content_type="audio/mpeg")
    body = {"model": "speaks-by-the-character", "input": text, "voice": "alloy"}
    answer = web.post(SPEAK, json=body)
    assert answer.content == b"\xff\xf3 sound"
    assert billed(platform, answer) == (Measured("character", count), 15 * count)


def test_speech_in_events_does_too(web, provider, platform):
    usage = {"type": "speech.audio.done", "usage": USAGE}
    provider.says(streamed({"type": "speech.audio.delta"}, usage), content_type="text/event-stream")
    body = {"model": "speaks-by-the-character", "input": "Hi.", "voice": "alloy"}
    answer = web.post(SPEAK, json=body | {"stream_format": "sse"})
    assert billed(platform, answer) == (Measured("character", 3), 45)


def test_text_that_is_none_has_no_count(web, provider, platform):
    provider.says(b"sound", content_type="audio/mpeg")
    answer = web.post(SPEAK, json={"model": "speaks-by-the-character", "input": ["a"]})
    assert billed(platform, answer) == (Measured("character"), None)


def test_an_error_costs_nothing_that_is_known(web, provider, platform):
    provider.says(b'{"error":{"message":"no"}}', status=400)
    body = {"model": "speaks-by-the-character", "input": "Hi.", "voice": "alloy"}
    answer = web.post(SPEAK, json=body)
    assert answer.status_code == 400
    assert billed(platform, answer) == (None, None)


# Searches


@pytest.mark.parametrize(
    ("documents", "searches"),
    [
        (["a"], 1),
        (["x" * 2000] * 20, 1),
        (["a"] * 100, 1),
        (["a"] * 101, 2),
        ([{"text": "a"}] * 250, 3),
        # Whether these are more than a hundred chunks depends on the tokens that they have.
        (["x" * 2000] * 50, None),
    ],
)
def test_queries_of_bedrocks_rerankers_are_counted_where_that_is_certain(
    web, provider, platform, documents, searches
):
    provider.says(json.dumps({"results": [{"index": 0, "relevance_score": 0.5}]}).encode())
    body = {"model": "ranks-at-bedrock", "query": "q", "documents": documents}
    answer = web.post("/v2/rerank", json=body)
    assert answer.status_code == 200
    cost = None if searches is None else 2000 * searches
    assert billed(platform, answer) == (Measured("search", searches), cost)


@pytest.mark.parametrize(
    ("ability", "name"), [("images", "n"), ("speech", "input"), ("rerank", "documents")]
)
def test_a_request_that_holds_too_much_is_not_read(ability, name):
    body = b'{"model":"m","%b":[%b0]}' % (name.encode(), b"0," * 600_000)
    asked = delivered.wanted(body)
    assert (asked.n, asked.input, asked.documents) == (None, None, None)
    with pytest.raises(TooManyValues):
        estimate.without_answer(body, ability)
