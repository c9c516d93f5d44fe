"""Moderation at Mistral."""

import json

import pytest
from ai_media import asked

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
