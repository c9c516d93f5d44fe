"""Reranking between formats."""

import json

import cohere.v2.types
import pytest
from cohere.types import RerankResponse
from recordings import exchanges, needed

from contract.usage import Measured
from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest, ParameterUnsupported
from proxy.ai.formats.operations import OPERATIONS, family
from proxy.ai.formats.rerank.registry import FAMILY, RERANKS
from proxy.ai.middle import rules
from proxy.ai.middle.answer import Usage
from proxy.ai.middle.rerank import Ranked, RerankAnswer
from proxy.ai.middle.rules import Notes

COHERE = RERANKS["rerank"]
ASKED = {"model": "m", "query": "q", "documents": ["a", "b", "c"]}


def read(**fields):
    return COHERE.read_request(json.dumps(ASKED | fields).encode())


def told(name, request, model="m", mode="declared"):
    notes = Notes(mode=mode)
    rules.apply(request, RERANKS[name].LACKS, notes)
    return json.loads(RERANKS[name].write_request(request, model, notes)), notes


def test_each_format_belongs_to_a_family_and_to_the_operation():
    assert set(FAMILY) == set(RERANKS) == set(OPERATIONS["rerank"])
    assert family("rerank").NAME == "cohere"


@pytest.mark.parametrize(("name", "most"), [("jina_rerank", "top_n"), ("voyage_rerank", "top_k")])
def test_texts_are_told_and_documents_need_not_come_back(name, most):
    body, notes = told(name, read(top_n=2, return_documents=True))
    expected = {"model": "m", "query": "q", "documents": ["a", "b", "c"], most: 2}
    assert body == expected | {"return_documents": False}
    assert (notes.dropped, notes.mapped) == ([], [])


def test_bedrock_is_told_which_version_of_coheres_api_it_is():
    body, notes = told(
        "bedrock_rerank", read(top_n=9, max_tokens_per_doc=7), "cohere.rerank-v3-5:0"
    )
    expected = {"query": "q", "documents": ["a", "b", "c"], "top_n": 3, "api_version": 2}
    assert body == expected | {"max_tokens_per_doc": 7}
    assert notes.dropped == []
    body, notes = told("bedrock_rerank", read(max_tokens_per_doc=7), "amazon.rerank-v1:0")
    assert body == {"query": "q", "documents": ["a", "b", "c"]}
    assert notes.dropped == ["max_tokens_per_doc"]


def test_objects_are_told_by_the_fields_that_count():
    documents = ["plain", {"text": "its text", "id": 7}]
    body, notes = told("jina_rerank", read(documents=documents))
    assert body["documents"] == ["plain", "its text"]
    assert notes.mapped == []
    documents = [{"title": "T", "body": "B"}]
    body, notes = told("jina_rerank", read(documents=documents, rank_fields=["title", "body"]))
    assert body["documents"] == ["title: T\nbody: B"]
    assert notes.mapped == ["rank_fields=texts of these fields"]
    with pytest.raises(InvalidRequest, match=r"documents\[0\]\.text"):
        told("jina_rerank", read(documents=[{"title": "T"}]))


def test_what_only_cohere_can_be_told_is_dropped_or_refused():
    request = read(max_tokens_per_doc=5, priority=1)
    body, notes = told("jina_rerank", request)
    assert notes.dropped == ["max_tokens_per_doc", "priority"]
    assert set(body) == {"model", "query", "documents", "return_documents"}
    with pytest.raises(ParameterUnsupported):
        told("jina_rerank", read(priority=1), mode="refuse")


@pytest.mark.parametrize("name", sorted(RERANKS))
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b'"x"', b"\xff", b"{}"])
def test_what_is_no_request_or_answer_is_said_so(name, body):
    with pytest.raises((InvalidJson, InvalidRequest)):
        RERANKS[name].read_request(body)
    with pytest.raises(AnswerUnreadable):
        RERANKS[name].read_answer(body)
    assert RERANKS[name].read_usage(body) is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a", 1]}, "documents[1]"),
        ({"query": None}, "query"),
        ({"query": ["q"]}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "2"}, "top_n"),
        ({"return_documents": 1}, "return_documents"),
        ({"rank_fields": [1]}, "rank_fields"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param


def test_documents_come_back_to_whom_asks_and_no_more_than_asked():
    request = read(documents=["a", {"text": "b", "id": 7}, "c"], top_n=2, return_documents=True)
    ranked = [Ranked(1, 0.9), Ranked(0, 0.5), Ranked(2, 0.1)]
    answer = RerankAnswer(format="jina_rerank", results=ranked, usage=Usage(12, 0))
    written = json.loads(COHERE.write_answer(answer, request))
    assert written["results"] == [
        {"index": 1, "relevance_score": 0.9, "document": {"text": "b", "id": 7}},
        {"index": 0, "relevance_score": 0.5, "document": {"text": "a"}},
    ]
    assert written["usage"]["total_tokens"] == 12
    assert written["meta"]["billed_units"] == {"input_tokens": 12}


@pytest.mark.parametrize("index", [-1, 3])
def test_an_order_of_documents_that_there_are_not_is_unreadable(index):
    answer = RerankAnswer(format="jina_rerank", results=[Ranked(index, 0.5)])
    with pytest.raises(AnswerUnreadable):
        COHERE.write_answer(answer, read())


@needed
def test_recorded_answers_reach_cohere_clients():
    seen = 0
    for exchange in exchanges(endpoint=r"/v[12]/rerank"):
        theirs = RERANKS["voyage_rerank" if exchange.provider == "voyageai" else "rerank"]
        request = json.loads(exchange.request)
        top = request.pop("top_k", request.get("top_n"))
        request |= {"top_n": top, "model": "m"}
        answer = theirs.read_answer(exchange.response)
        written = COHERE.write_answer(answer, COHERE.read_request(json.dumps(request).encode()))
        recorded = json.loads(exchange.response)
        results = [
            {name: one[name] for name in ("index", "relevance_score")}
            for one in recorded.get("results") or recorded["data"]
        ]
        assert json.loads(written)["results"] == results
        assert len(cohere.v2.types.V2RerankResponse.model_validate_json(written).results) == top
        parsed = RerankResponse.model_validate_json(written)
        billed = parsed.meta.billed_units
        if exchange.provider == "voyageai":
            assert answer.usage == Usage(recorded["usage"]["total_tokens"], 0)
            assert billed.input_tokens == recorded["usage"]["total_tokens"]
        else:
            assert answer.usage == Usage(0, 0, searches=1, measured=Measured("search", 1))
            assert billed.search_units == 1
        seen += 1
    assert seen == 8


@needed
def test_cohere_is_told_what_clients_of_its_second_version_told_it():
    recorded = [json.loads(one.request) for one in exchanges("cohere", r"/v2/rerank")]
    assert len(recorded) == 2
    for asked in recorded:
        request = COHERE.read_request(json.dumps(asked).encode())
        body, notes = told("cohere_rerank", request, asked["model"])
        assert body == asked
        assert (notes.dropped, notes.mapped) == ([], [])


@needed
def test_voyage_is_told_what_its_own_client_told_it():
    for exchange in exchanges("voyageai", r"/v1/rerank"):
        recorded = json.loads(exchange.request)
        asked = {name: value for name, value in recorded.items() if name != "top_k"}
        request = COHERE.read_request(json.dumps(asked | {"top_n": recorded["top_k"]}).encode())
        body, notes = told("voyage_rerank", request, recorded["model"])
        assert body == recorded | {"return_documents": False}
        assert (notes.dropped, notes.mapped) == ([], [])
