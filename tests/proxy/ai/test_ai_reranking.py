"""Reranking through the gateway: Cohere's clients at providers of other formats."""

import json

import cohere
import pytest
from ai_cast import ALICE

RANKED = [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.25}]
ANSWERS = {
    "ranks": {"id": "r-1", "results": RANKED, "meta": {"billed_units": {"search_units": 3}}},
    "ranks-at-jina": {"model": "x", "results": RANKED, "usage": {"total_tokens": 1000}},
    "ranks-at-voyage": {"object": "list", "data": RANKED, "usage": {"total_tokens": 1000}},
    "ranks-at-bedrock": {"results": RANKED},
}
LINES = {
    "ranks": "POST /v2/rerank HTTP/1.1",
    "ranks-at-jina": "POST /v1/rerank HTTP/1.1",
    "ranks-at-voyage": "POST /v1/rerank HTTP/1.1",
    "ranks-at-bedrock": "POST /model/cohere.rerank-v3-5%3A0/invoke HTTP/1.1",
}
COSTS = {"ranks": 6000, "ranks-at-jina": 50, "ranks-at-voyage": 50, "ranks-at-bedrock": 2000}


def ask(web, model, path="/v2/rerank", **fields):
    body = {"model": model, "query": "q", "documents": ["a", "b", "c"], "top_n": 2}
    return web.post(path, json=body | fields)


@pytest.mark.parametrize("model", sorted(ANSWERS))
def test_each_provider_is_asked_in_its_format_and_what_it_bills_is_counted(
    web, provider, platform, model
):
    provider.says(json.dumps(ANSWERS[model]).encode())
    answer = ask(web, model)
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"] == RANKED
    assert provider.last.line == LINES[model]
    event = platform.event(answer.headers["x-request-id"])
    assert (event.model, event.cost_micros) == (model, COSTS[model])


@pytest.mark.parametrize("model", sorted(ANSWERS))
def test_coheres_sdk_ranks(platform, provider, model):
    provider.says(json.dumps(ANSWERS[model]).encode())
    for client in (cohere.Client, cohere.ClientV2):
        sdk = client(ALICE, base_url=platform.url)
        answer = sdk.rerank(model=model, query="q", documents=["a", "b", "c"], top_n=2)
        assert [(one.index, one.relevance_score) for one in answer.results] == [(2, 0.9), (0, 0.25)]


@pytest.mark.parametrize("model", sorted(ANSWERS))
def test_version_1_gives_documents_back(web, provider, model):
    provider.says(json.dumps(ANSWERS[model]).encode())
    documents = ["a", "b", {"text": "c"}]
    answer = ask(web, model, "/v1/rerank", documents=documents, return_documents=True)
    assert [one["document"] for one in answer.json()["results"]] == [{"text": "c"}, {"text": "a"}]
    told = json.loads(provider.last.body)
    assert told["documents"] == ["a", "b", "c"]
    assert not told.get("return_documents")


def test_what_cohere_says_beside_the_order_is_kept(web, provider):
    meta = {"api_version": {"version": "2", "is_experimental": True}, "warnings": ["slow"]}
    meta["billed_units"] = {"search_units": 3}
    provider.says(json.dumps({"id": "r", "results": RANKED, "meta": meta}).encode())
    answer = ask(web, "ranks", max_tokens_per_doc=9, priority=1, new=True)
    assert (answer.json()["id"], answer.json()["meta"]) == ("r", meta)
    assert "x-hubpo-dropped" not in answer.headers
    expected = {"model": "rerank-v3.5", "query": "q", "documents": ["a", "b", "c"], "top_n": 2}
    expected |= {"max_tokens_per_doc": 9, "priority": 1, "new": True}
    assert json.loads(provider.last.body) == expected


def test_coheres_own_format_passes_through(web, provider, platform):
    answer = b'{ "results": [], "x":1.0, "meta":{"billed_units":{"search_units":3}}}'
    provider.says(answer)
    body = b'{ "model": "ranks", "documents": ["a","b","c"], "query":"q", "new":{"x": 1.0} }'
    told = web.post("/v2/rerank", content=body, headers={"content-type": "application/json"})
    assert told.content == answer
    asked = b'{"model":"rerank-v3.5","documents":["a","b","c"],"query":"q","new":{"x": 1.0}}'
    assert provider.last.body == asked
    # Where the model has the same name, nothing is changed.
    same = body.replace(b"ranks", b"rerank-v3.5")
    assert web.post("/v2/rerank", content=same).content == answer
    assert provider.last.body == same
    event = platform.event(told.headers["x-request-id"])
    assert (event.model, event.cost_micros, event.input_tokens) == ("ranks", 6000, 0)
    assert not event.streamed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"documents": []}, "documents"),
        ({"query": None}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"documents": [{"title": "no text"}]}, "documents[0].text"),
    ],
)
def test_what_is_wrong_is_not_passed_on_to_cohere(web, provider, fields, message):
    answer = ask(web, "ranks", **fields)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert message in answer.json()["message"]
    assert not provider.asked


def test_what_the_provider_lacks_is_told_in_the_head_and_the_record(web, provider, platform):
    provider.says(json.dumps(ANSWERS["ranks-at-voyage"]).encode())
    answer = ask(web, "ranks-at-voyage", max_tokens_per_doc=100, truncation=True)
    assert answer.headers["x-hubpo-dropped"] == "max_tokens_per_doc"
    assert json.loads(provider.last.body)["truncation"] is True
    event = platform.event(answer.headers["x-request-id"])
    assert event.adapted == "dropped max_tokens_per_doc"


def test_a_provider_without_reranking_is_not_asked(web, provider):
    answer = ask(web, "ranks-at-openai")
    assert answer.status_code == 400
    assert answer.json()["code"] == "operation_unsupported"
    assert "Choose another model" in answer.json()["message"]
    assert not provider.asked


@pytest.mark.parametrize("model", ["ranks-at-jina", "ranks-at-bedrock"])
def test_bad_input_is_refused_in_coheres_shape_before_anybody_is_asked(web, provider, model):
    answer = ask(web, model, documents=[{"title": "no text"}])
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert "documents[0].text" in answer.json()["message"]
    assert not provider.asked


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("ranks", {"message": "too many documents"}, "too many documents"),
        ("ranks-at-jina", {"error": {"message": "too long"}}, "too long"),
        ("ranks-at-voyage", {"detail": "no such model"}, "no such model"),
        ("ranks-at-bedrock", {"message": "malformed"}, "malformed"),
    ],
)
def test_a_providers_error_comes_in_coheres_shape(web, provider, model, body, message):
    provider.says(json.dumps(body).encode(), status=400)
    answer = ask(web, model)
    assert answer.status_code == 400
    assert answer.json()["message"] == message


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"results":[{"index":7,"relevance_score":1}]}']
)
def test_an_answer_that_is_no_order_of_the_documents_is_said_to_be(web, provider, body):
    provider.says(body)
    answer = ask(web, "ranks-at-jina")
    assert answer.status_code == 502
    assert answer.json()["code"] == "provider_answer_unreadable"
