"""Embeddings between formats."""

import json
from array import array
from base64 import b64decode

import pytest
from openai.types import CreateEmbeddingResponse

from proxy.ai.errors import AnswerUnreadable, InvalidJson, InvalidRequest, ParameterUnsupported
from proxy.ai.formats.embedding.registry import EMBEDDINGS, FAMILY
from proxy.ai.middle.answer import Usage
from proxy.ai.middle.embedding import EmbeddingAnswer, EmbeddingRequest
from proxy.ai.middle.rules import Notes, apply

FORMATS = sorted(EMBEDDINGS)


def test_each_format_belongs_to_a_family():
    assert set(FAMILY) == set(EMBEDDINGS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_request_is_the_same_after_writing_and_reading(name):
    format_ = EMBEDDINGS[name]
    one = name == "gemini_embedding"
    request = EmbeddingRequest(
        format=name, model="m", inputs=["a"] if one else ["a", "b"], dimensions=64, single=one
    )
    if name != "embeddings":
        request.purpose = "query"
    notes = Notes()
    assert format_.read_request(format_.write_request(request, "m", notes), model="m") == request
    assert (notes.dropped, notes.mapped) == ([], [])


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_is_the_same_after_writing_and_reading(name):
    format_ = EMBEDDINGS[name]
    vectors = [[0.5, -0.25]] if name == "gemini_embedding" else [[0.5, -0.25], [1.0, 0.0]]
    answer = EmbeddingAnswer(format=name, vectors=vectors, usage=Usage(7, 0))
    request = EmbeddingRequest(format=name, model="m", inputs=["a"] * len(vectors))
    written = format_.write_answer(answer, request)
    read = format_.read_answer(written)
    assert (read.vectors, read.usage) == (vectors, Usage(7, 0))
    assert format_.read_usage(written) == Usage(7, 0)


def test_an_answer_in_openais_format_has_the_id_that_mistrals_sdk_wants():
    request = EMBEDDINGS["embeddings"].read_request(b'{"model": "m", "input": "a"}')
    answer = EmbeddingAnswer(format="cohere_embeddings", vectors=[[0.5]])
    first, second = (
        json.loads(EMBEDDINGS["embeddings"].write_answer(answer, request))["id"] for _ in range(2)
    )
    assert first.startswith("embd-")
    assert first != second


def test_a_provider_may_lack_what_no_request_for_embeddings_has():
    request = EMBEDDINGS["cohere_embeddings"].read_request(
        b'{"model": "m", "texts": ["a"], "input_type": "search_query"}'
    )
    notes = Notes()
    apply(request, {"logit_bias": "drop", "logprobs": "refuse", "user": "drop"}, notes)
    assert (request.inputs, notes.dropped) == (["a"], [])


def test_base64_is_what_the_sdk_asks_for_and_reads():
    format_ = EMBEDDINGS["embeddings"]
    body = b'{"model":"m","input":"a","encoding_format":"base64"}'
    request = format_.read_request(body)
    assert request.base64
    assert request.single
    written = format_.write_answer(
        EmbeddingAnswer(format="x", vectors=[[0.5, -2.0]], model="m"), request
    )
    parsed = CreateEmbeddingResponse.model_construct(**json.loads(written))
    assert array("f", b64decode(parsed.data[0].embedding)).tolist() == [0.5, -2.0]
    assert format_.read_answer(written).vectors == [[0.5, -2.0]]


def test_token_numbers_are_refused_where_only_texts_can_be_said():
    request = EMBEDDINGS["embeddings"].read_request(b'{"model":"m","input":[1,2,3]}')
    assert request.inputs == [[1, 2, 3]]
    for name in FORMATS:
        if name != "embeddings":
            with pytest.raises(ParameterUnsupported):
                EMBEDDINGS[name].write_request(request, "m", Notes())


def test_cohere_is_told_a_purpose_where_the_client_names_none():
    notes = Notes()
    request = EmbeddingRequest(format="embeddings", model="m", inputs=["a"])
    EMBEDDINGS["cohere_embeddings"].write_request(request, "m", notes)
    assert notes.mapped == ["input_type=search_document"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b'"x"', b"\xff"])
def test_what_is_no_request_or_answer_is_said_so(name, body):
    with pytest.raises((InvalidJson, InvalidRequest)):
        EMBEDDINGS[name].read_request(body, model="m")
    with pytest.raises(AnswerUnreadable):
        EMBEDDINGS[name].read_answer(body)
    assert EMBEDDINGS[name].read_usage(body) is None


@pytest.mark.parametrize("counted", [b"-5", b"1e30", b"9" * 30, b'"7"', b"[]"])
def test_a_number_of_tokens_that_cannot_be_true_is_none(counted):
    body = b'{"embeddings":[{"values":[0.5]}],"usageMetadata":{"promptTokenCount":%b}}' % counted
    answer = EMBEDDINGS["gemini_embeddings"].read_answer(body)
    assert (answer.vectors, answer.usage) == ([[0.5]], None)
    assert EMBEDDINGS["gemini_embeddings"].read_usage(body) is None


def test_texts_and_numbers_cannot_be_mixed():
    with pytest.raises(InvalidRequest, match="mixes"):
        EMBEDDINGS["embeddings"].read_request(b'{"model":"m","input":["a", 1]}')
