"""OpenAI's batches, at Anthropic's batches of messages."""

import json
from time import time

import openai
import pytest
from ai_batches import Keeper, batch_records, create, jsonl, request, upload
from ai_billed import Billed
from ai_cast import ALICE
from ai_message_batches import Anthropic, errored, now, succeeded

from contract import keys
from proxy.ai.batches import counted

CLAUDE = "batched-claude"
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def anthropic(provider):
    return Anthropic(provider)


def ask(number=0, **body):
    return request(CLAUDE, number=number, **body)


def made(web, *requests):
    """A batch's id."""
    file = upload(web, jsonl(*requests)).json()["id"]
    return create(web, file).json()["id"]


def read(web, file):
    """The lines of a file by custom_id."""
    answer = web.get(f"/v1/files/{file}/content")
    assert answer.status_code == 200, answer.text
    return {one["custom_id"]: one for one in map(json.loads, answer.text.splitlines())}


def test_lines_become_requests_of_anthropics(web, anthropic, provider):
    system = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Grüße\n!"}]
    answer = upload(web, jsonl(ask(1, tools=[TOOL], seed=3), ask(2, messages=system)))
    assert answer.status_code == 200
    assert provider.asked == []  # Anthropic keeps no files.
    assert answer.headers["x-hubpo-dropped"] == "seed"
    file = answer.json()
    assert (file["filename"], file["object"], file["purpose"]) == (
        "requests.jsonl",
        "file",
        "batch",
    )
    told = create(web, file["id"]).json()
    (asked,) = anthropic.requests.values()
    assert [one["custom_id"] for one in asked] == ["c1", "c2"]
    first, second = (one["params"] for one in asked)
    assert (first["model"], first["max_tokens"]) == ("claude-real", 10)
    assert first["tools"][0]["name"] == "look"
    assert "stream" not in first
    assert "Be short." in json.dumps(second["system"])
    assert "Grüße\n!" in json.dumps(second["messages"], ensure_ascii=False).replace("\\n", "\n")
    assert told["status"] == "in_progress"
    assert told["input_file_id"] == file["id"]
    assert told["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
    assert told["id"] not in anthropic.batches


def test_results_come_back_as_openais_files(web, anthropic, platform):
    batch = made(web, *(ask(number) for number in range(5)))
    anthropic.finish(
        succeeded(1000, 100, "One"),
        errored(),
        succeeded(500, 1, "Three", cached=20),
        {"type": "expired"},
        {"type": "canceled"},
    )
    told = web.get(f"/v1/batches/{batch}").json()
    assert told["status"] == "expired"
    assert told["request_counts"] == {"total": 5, "completed": 2, "failed": 3}
    good, bad = read(web, told["output_file_id"]), read(web, told["error_file_id"])
    assert set(good) == {"c0", "c2"}
    body = good["c0"]["response"]["body"]
    assert (good["c0"]["response"]["status_code"], good["c0"]["error"]) == (200, None)
    assert (body["object"], body["model"]) == ("chat.completion", CLAUDE)
    assert body["choices"][0]["message"]["content"] == "One"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == 1100
    assert set(bad) == {"c1", "c3", "c4"}
    assert bad["c1"]["response"]["status_code"] == 400
    assert bad["c1"]["response"]["body"]["error"]["message"] == "Too long"
    assert bad["c3"]["error"]["code"] == "batch_expired"
    assert bad["c4"]["error"]["code"] == "batch_cancelled"
    (id_,) = anthropic.batches
    event = platform.event(counted.record_id("alice", "anthropic-1", id_))
    assert (event.input_tokens, event.output_tokens, event.cached_tokens) == (1520, 101, 20)
    # Each line by itself, at half of the prices of single calls.
    assert event.cost_micros == (1520 * 2_500_000 + 101 * 10_000_000) // 2 // 1_000_000
    assert event.routed == "batch of 2 answers"
    assert len(batch_records(platform, event.id)) == 1


def test_openais_sdk_does_batches_at_anthropic(platform, anthropic):
    sdk = openai.OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0)
    file = sdk.files.create(file=("r.jsonl", jsonl(ask())), purpose="batch")
    batch = sdk.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert sdk.files.retrieve(file.id).bytes == file.bytes
    anthropic.finish(succeeded(3, 4))
    batch = sdk.batches.retrieve(batch.id)
    assert (batch.status, batch.error_file_id) == ("completed", None)
    assert batch.completed_at <= time()
    (answer,) = sdk.files.content(batch.output_file_id).text.splitlines()
    assert json.loads(answer)["response"]["body"]["usage"]["total_tokens"] == 7
    assert sdk.files.retrieve(batch.output_file_id).purpose == "batch_output"
    assert sdk.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(file.id)


def test_ids_that_anthropic_would_not_take_come_back_as_they_were(web, anthropic):
    names = ["a b/ü", "hubpo-x", "x" * 64, "plain_1"]
    batch = made(web, *({**ask(), "custom_id": name} for name in names))
    (asked,) = anthropic.requests.values()
    assert all(len(one["custom_id"]) <= 64 and one["custom_id"].isascii() for one in asked)
    assert len({one["custom_id"] for one in asked}) == 4
    anthropic.finish(*[succeeded(1, 1)] * 4)
    told = web.get(f"/v1/batches/{batch}").json()
    assert set(read(web, told["output_file_id"])) == set(names)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (ask(url="/v1/responses"), "batch_line_invalid", "cannot be asked for /v1/responses"),
        (ask(stream=True), "batch_line_invalid", "answers whole"),
        (ask(n=2), "parameter_unsupported", "Line 2 of the file"),
        (ask(messages="x"), "invalid_request", "Line 2 of the file"),
        (ask(messages=[[[]]] * 200_000), "too_many_values", "Line 2 of the file"),
        ({**ask(), "custom_id": "ü" * 40}, "batch_line_invalid", "custom_id"),
        ({**ask(), "custom_id": ""}, "batch_line_invalid", "custom_id"),
        ({**ask(), "custom_id": "c7"}, "batch_line_invalid", "custom_id 'c7' is there twice"),
    ],
)
def test_a_line_that_cannot_be_translated_is_named(web, anthropic, platform, line, code, says):
    answer = upload(web, jsonl(ask(7), line))
    assert answer.status_code in (400, 413)
    assert answer.json()["error"]["code"] == code
    assert says in answer.json()["error"]["message"]
    assert "Line 2 of the file" in answer.json()["error"]["message"]
    assert left(platform) == []


def left(platform):
    return platform.valkey.keys("hubpo:batch:{alice}:file:*")


@pytest.fixture(autouse=True)
def empty(platform):
    yield
    for key in platform.valkey.keys("hubpo:batch:*"):
        platform.valkey.delete(key)


def test_nobody_else_comes_through_any_door(web, anthropic, provider, clients):
    file = upload(web, jsonl(ask())).json()["id"]
    batch = create(web, file).json()["id"]
    anthropic.finish(succeeded(3, 4))
    output = web.get(f"/v1/batches/{batch}").json()["output_file_id"]
    provider.asked.clear()
    for them in (clients["other"], clients["charlie"]):
        for id_ in (file, output):
            for answer in (
                them.get(f"/v1/files/{id_}"),
                them.get(f"/v1/files/{id_}/content"),
                them.delete(f"/v1/files/{id_}"),
                create(them, id_),
            ):
                assert answer.json()["error"]["code"] == "file_not_found"
        for answer in (
            them.get(f"/v1/batches/{batch}"),
            them.post(f"/v1/batches/{batch}/cancel"),
        ):
            assert answer.json()["error"]["code"] == "batch_not_found"
    assert provider.asked == []


def test_what_a_day_keeps_is_sealed_and_bound_to_its_tenant(web, anthropic, platform):
    file = upload(web, jsonl(ask(text="a secret word"))).json()["id"]
    found = left(platform)
    assert len(found) == 2
    for key in found:
        assert b"secret" not in platform.valkey.get(key)
        assert 0 < platform.valkey.ttl(key) <= 86_400
    for key in found:  # Another's data under our name does not open.
        platform.valkey.set(key, platform.valkey.get(key)[::-1])
    assert create(web, file).json()["error"]["code"] == "file_not_found"
    assert web.delete(f"/v1/files/{file}").status_code == 200
    assert left(platform) == []
    assert platform.valkey.hlen(keys.batch_files("alice")) == 0


def test_a_large_file_goes_in_pieces(web, anthropic, platform):
    texts = [f"{number} " + "x" * 2000 for number in range(1000)]
    file = upload(web, jsonl(*(ask(n, text=text) for n, text in enumerate(texts)))).json()
    assert len(left(platform)) > 5
    assert create(web, file["id"]).status_code == 200
    (asked,) = anthropic.requests.values()
    assert [one["custom_id"] for one in asked] == [f"c{number}" for number in range(1000)]
    assert texts[-1] in json.dumps(asked[-1])
    content = web.get(f"/v1/files/{file['id']}/content")
    assert [json.loads(line) for line in content.text.splitlines()] == asked
    assert len(content.content) == file["bytes"]


def test_what_anthropic_refuses_is_told_in_openais_shape(web, anthropic, provider):
    file = upload(web, jsonl(ask())).json()["id"]
    error = {"type": "error", "error": {"type": "request_too_large", "message": "Too much"}}
    provider.says(json.dumps(error).encode(), status=413)
    answer = create(web, file)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == "Too much"
    provider.says(b"{}")
    assert create(web, file).json()["error"]["code"] == "provider_answer_unreadable"
    provider.says(b"{}", status=401)
    assert create(web, file).json()["error"]["code"] == "provider_rejected_credentials"
    for field, value in (("endpoint", "/v1/embeddings"), ("completion_window", "1h")):
        answer = create(web, file, **{field: value})
        assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (
            "invalid_request",
            field,
        )


def test_a_batch_is_cancelled(web, anthropic):
    batch = made(web, ask(1), ask(2))
    assert web.post(f"/v1/batches/{batch}/cancel").json()["status"] == "cancelling"
    anthropic.finish(succeeded(1, 1), {"type": "canceled"})
    told = web.get(f"/v1/batches/{batch}").json()
    assert (told["status"], told["cancelled_at"] <= time()) == ("cancelled", True)


def test_lists_leave_it_out_and_metadata_is_said_to_be_dropped(web, anthropic, second, provider):
    file = upload(web, jsonl(ask())).json()["id"]
    answer = create(web, file, metadata={"team": "blue"})
    assert answer.headers["x-hubpo-dropped"] == "metadata"
    assert answer.json()["metadata"] is None
    Keeper(provider)
    Keeper(second)
    assert web.get("/v1/batches").json()["data"] == []
    assert web.get("/v1/files").json()["data"] == []


def test_results_that_are_nonsense_are_no_answer(web, anthropic, provider):
    batch = made(web, ask())
    id_ = anthropic.finish(succeeded(1, 1))["id"]
    anthropic.results[id_] = [{"no": "result"}]
    answer = web.get(f"/v1/batches/{batch}")
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"
    anthropic.batches[id_] |= {"archived_at": now()}
    del anthropic.results[id_]
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"


@pytest.fixture
def billed(platform, providers, anthropic):
    """A tenant with limits on every level."""
    tenant = Billed(platform, providers["first"][0], "exact", "anthropic")
    yield tenant
    tenant.web.close()


def test_budgets_are_settled_to_what_it_used(billed, anthropic):
    line = request(max_tokens=1000)
    into = -(-len(json.dumps(line["body"]).encode()) // 2)
    batch = made(billed.web, line)
    billed.wait(
        tokens_hour=(into + 1000, 0),
        tokens_month=(0, into + 1000),
        cost_month=(0, into + 5000),
    )
    anthropic.finish(succeeded(100, 20))
    told = billed.web.get(f"/v1/batches/{batch}").json()
    assert set(read(billed.web, told["output_file_id"])) == {"c0"}
    billed.wait(tokens_hour=(120, 0), tokens_month=(120, 0), cost_month=(200, 0))
    (id_,) = anthropic.batches
    event = billed.platform.event(counted.record_id(billed.tenant_id, "p", id_))
    assert (event.cost_micros, event.key_id) == (200, "key")


@pytest.mark.parametrize("fails", ["gone", "refused"])
def test_a_batch_that_was_not_created_counts_nothing(billed, anthropic, provider, fails):
    file = upload(billed.web, jsonl(request())).json()["id"]
    if fails == "gone":
        billed.web.delete(f"/v1/files/{file}")
    else:
        provider.says(b"{}", status=400)
    assert create(billed.web, file).status_code in (400, 404)
    billed.wait(tokens_hour=(0, 0), tokens_month=(0, 0), cost_month=(0, 0))
