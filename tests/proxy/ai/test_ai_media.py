"""What holds for pictures, speech, transcripts and moderation alike."""

import json

import pytest
from ai_media import WAV

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
