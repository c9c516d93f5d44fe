"""Pictures at providers of other formats: Gemini, Imagen and Vertex AI."""

import json
from base64 import b64encode

import pytest
from ai_media import answered, asked, inline

PNG = b64encode(b"\x89PNG-a-picture").decode()
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
