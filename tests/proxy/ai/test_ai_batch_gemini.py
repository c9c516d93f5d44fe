"""OpenAI's batches, at Gemini's."""

import json
from time import time

import pytest
from ai_batches import batch_records, create, jsonl, request, upload
from ai_gemini_batches import Gemini, generated

from proxy.ai.batches import counted


@pytest.fixture
def gemini(provider, platform):
    yield Gemini(provider)
    for key in platform.valkey.keys("hubpo:batch:*"):
        platform.valkey.delete(key)


def ask(number=0, **body):
    return request("batched-gemini", number=number, **body)


def made(web, *requests):
    """A batch as it is told of."""
    file = upload(web, jsonl(*requests)).json()["id"]
    return create(web, file).json()


def read(web, file):
    answer = web.get(f"/v1/files/{file}/content")
    assert answer.status_code == 200, answer.text
    return {one["custom_id"]: one for one in map(json.loads, answer.text.splitlines())}


def test_lines_become_a_file_of_geminis(web, gemini, provider):
    system = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Grüße"}]
    answer = upload(web, jsonl(ask(1, user="u"), ask(2, messages=system)))
    assert provider.asked == []
    assert answer.headers["x-hubpo-dropped"] == "user"
    told = create(web, answer.json()["id"]).json()
    assert (told["status"], told["input_file_id"]) == ("in_progress", answer.json()["id"])
    assert told["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
    assert [one["key"] for one in gemini.asked] == ["c1", "c2"]
    first, second = (one["request"] for one in gemini.asked)
    assert first["contents"][0]["parts"][0]["text"] == "Hi"
    assert first["generationConfig"]["maxOutputTokens"] == 10
    assert second["systemInstruction"]["parts"][0]["text"] == "Be short."


def test_results_come_back_as_openais_files(web, gemini, platform):
    batch = made(web, ask(0), {**ask(), "custom_id": "ü/ 1"}, ask(2))
    gemini.finish(
        generated(1000, 100, "One"),
        {"error": {"code": 3, "message": "Too long"}},
        generated(500, 1, "Three", thoughts=20),
    )
    told = web.get(f"/v1/batches/{batch['id']}").json()
    assert (told["status"], told["completed_at"] <= time()) == ("completed", True)
    assert told["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    good, bad = read(web, told["output_file_id"]), read(web, told["error_file_id"])
    assert set(good) == {"c0", "c2"}
    body = good["c0"]["response"]["body"]
    assert (body["model"], body["usage"]["total_tokens"]) == ("batched-gemini", 1100)
    assert body["choices"][0]["message"]["content"] == "One"
    assert set(bad) == {"ü/ 1"}
    assert bad["ü/ 1"]["response"]["status_code"] == 400
    assert bad["ü/ 1"]["response"]["body"]["error"]["message"] == "Too long"
    (id_,) = gemini.batches
    event = platform.event(counted.record_id("alice", "gemini-1", id_))
    assert (event.input_tokens, event.output_tokens, event.reasoning_tokens) == (1500, 121, 20)
    assert event.cost_micros == (1500 * 2_500_000 + 121 * 10_000_000) // 2 // 1_000_000
    assert len(batch_records(platform, event.id)) == 1


def test_answers_that_were_not_counted_are_there_and_cost(web, gemini, platform):
    batch = made(web, ask(0))
    told = gemini.finish(generated(1000, 100, "One"))
    told["metadata"]["batchStats"] = {"requestCount": "1"}
    shown = web.get(f"/v1/batches/{batch['id']}").json()
    assert read(web, shown["output_file_id"])["c0"]["response"]["status_code"] == 200
    id_ = counted.record_id("alice", "gemini-1", told["name"].removeprefix("batches/"))
    assert platform.event(id_).input_tokens == 1000


def test_a_batch_is_cancelled_and_has_no_results(web, gemini):
    batch = made(web, ask())
    told = web.post(f"/v1/batches/{batch['id']}/cancel").json()
    assert (told["status"], told["output_file_id"]) == ("cancelled", None)
    assert web.get(f"/v1/batches/{batch['id']}").json()["status"] == "cancelled"


def test_nothing_is_uploaded_to_another_host(web, gemini, provider):
    gemini.elsewhere = True
    file = upload(web, jsonl(ask())).json()["id"]
    assert create(web, file).json()["error"]["code"] == "provider_answer_unreadable"
    assert len(provider.asked) == 1
    assert gemini.files == {}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (ask(url="/v1/responses"), "batch_line_invalid"),
        (ask(stream=True), "batch_line_invalid"),
        ({**ask(), "custom_id": "x" * 513}, "batch_line_invalid"),
        ({**ask(), "custom_id": "c7"}, "batch_line_invalid"),
        (ask(messages=3), "invalid_request"),
    ],
)
def test_a_line_that_cannot_be_translated_is_named(web, gemini, line, code):
    answer = upload(web, jsonl(ask(7), line))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert "Line 2 of the file" in answer.json()["error"]["message"]


def test_nobody_else_comes_through_any_door(web, gemini, provider, clients):
    file = upload(web, jsonl(ask())).json()["id"]
    batch = create(web, file).json()["id"]
    gemini.finish(generated(3, 4))
    output = web.get(f"/v1/batches/{batch}").json()["output_file_id"]
    provider.asked.clear()
    for them in (clients["other"], clients["charlie"]):
        for id_ in (file, output):
            assert them.get(f"/v1/files/{id_}/content").json()["error"]["code"] == "file_not_found"
            assert create(them, id_).json()["error"]["code"] == "file_not_found"
        assert them.get(f"/v1/batches/{batch}").json()["error"]["code"] == "batch_not_found"
    assert provider.asked == []


def test_what_gemini_refuses_and_what_is_nonsense(web, gemini, provider):
    batch = made(web, ask())
    file = upload(web, jsonl(ask())).json()["id"]
    gemini.finish(generated(3, 4))
    name = gemini.batches[next(iter(gemini.batches))]["metadata"]["output"]["responsesFile"]
    kept, gemini.files[name] = gemini.files[name], b"nonsense"
    answer = web.get(f"/v1/batches/{batch['id']}")
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"
    gemini.files[name] = kept
    assert web.get(f"/v1/batches/{batch['id']}").json()["status"] == "completed"
    error = {"code": 429, "message": "Too many batches", "status": "RESOURCE_EXHAUSTED"}
    provider.says(json.dumps({"error": error}).encode(), status=429)
    refused = create(web, file)
    assert (refused.status_code, refused.json()["error"]["message"]) == (429, "Too many batches")
