"""Files and batches of OpenAI's format: whose they are, what they are told, what they cost."""

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from ai_batches import Keeper
from ai_cast import ALICE, BUDGET, CHARLIE, MONEY, OTHER

from contract import keys
from contract.secrets import Signer
from contract.usage import decode
from proxy.ai.batches import counted, lines, lists
from proxy.ai.batches import upload as upload_module
from proxy.ai.batches.forms import Field, Parts
from proxy.ai.batches.marks import Mark, Marks
from proxy.ai.errors import InvalidRequest


def request(model="batched", text="Hi", number=0, url="/v1/chat/completions", **body):
    said = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 10}
    return {"custom_id": f"c{number}", "method": "POST", "url": url, "body": said | body}


def jsonl(*requests):
    return "".join(json.dumps(one) + "\n" for one in requests).encode()


def upload(web, data, name="requests.jsonl", purpose="batch", **options):
    return web.post("/v1/files", data={"purpose": purpose}, files={"file": (name, data)}, **options)


def create(web, file_id, **options):
    body = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    return web.post("/v1/batches", json=body | options)


@pytest.fixture
def keeper(provider, second):
    return Keeper(provider)


@pytest.fixture
def clients(platform):
    """By who asks."""
    made = {
        name: httpx.Client(
            base_url=platform.url, headers={"authorization": f"Bearer {key}"}, timeout=20
        )
        for name, key in (
            ("alice", ALICE),
            ("other", OTHER),
            ("budget", BUDGET),
            ("money", MONEY),
            ("charlie", CHARLIE),
        )
    }
    yield made
    for client in made.values():
        client.close()


def batch_records(platform, id_):
    """All records of a batch that have been shipped."""
    shipped = [decode(fields[b"e"]) for _, fields in platform.valkey.xrange(keys.USAGE_STREAM)]
    return [event for event in shipped if event.id == id_]


# Files


def test_a_file_goes_to_the_models_provider_with_the_names_known_there(web, keeper, provider):
    data = jsonl(request(number=1, text="Grüße"), request(number=2, tools=[]))
    answer = upload(web, data)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["filename"], told["object"], told["purpose"]) == (
        "requests.jsonl",
        "file",
        "batch",
    )
    (kept, stored), *_ = keeper.files.values()
    assert told["id"] != kept["id"]
    wanted = [request("gpt-real", number=1, text="Grüße"), request("gpt-real", number=2, tools=[])]
    assert [json.loads(line) for line in stored.splitlines()] == wanted
    assert provider.last.headers["authorization"].startswith("Bearer sk-the-tenants")
    assert int(provider.last.headers["content-length"]) == len(provider.last.body)
    assert ALICE not in str(provider.last.headers)


def test_a_file_is_read_shown_listed_and_deleted(web, keeper):
    told = upload(web, jsonl(request())).json()
    assert web.get(f"/v1/files/{told['id']}").json() == told
    assert web.get("/v1/files").json()["data"] == [told]
    assert web.get("/v1/files?purpose=batch").json()["data"] == [told]
    assert web.get("/v1/files?purpose=vision").json()["data"] == []
    content = web.get(f"/v1/files/{told['id']}/content")
    assert json.loads(content.content) == request("gpt-real")
    gone = web.delete(f"/v1/files/{told['id']}").json()
    assert gone == {"id": told["id"], "object": "file", "deleted": True}
    again = web.get(f"/v1/files/{told['id']}")
    assert again.status_code == 404
    assert "No such object" in again.json()["error"]["message"]


def test_a_large_file_is_taken_in_pieces(web, keeper, platform):
    many = [request(number=number, text="x" * 2000) for number in range(2000)]
    assert upload(web, jsonl(*many)).status_code == 200
    (_, stored), *_ = keeper.files.values()
    assert len(stored.splitlines()) == 2000
    assert b'"batched"' not in stored
    assert platform.application.gateway.batches.uploads.total() == 0


def test_a_line_is_one_line_for_whoever_reads_it(web, keeper):
    hidden = json.dumps(request("dear"))
    inner = json.dumps(request(metadata="HIDDEN")).replace('"HIDDEN"', f"\r{hidden}\r")
    assert upload(web, inner.encode() + b"\r\n").status_code == 200
    (_, stored), *_ = keeper.files.values()
    assert len(stored.splitlines()) == 1
    assert json.loads(stored)["body"]["model"] == "gpt-real"


def test_a_full_disk_is_said(web, keeper, provider, monkeypatch, tmp_path):
    monkeypatch.setattr(upload_module, "IN_MEMORY", 10)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    answer = upload(web, jsonl(request()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "batches_unavailable")
    assert provider.asked == []


def test_one_tenant_uploads_a_few_files_at_once(web, keeper, platform, clients):
    uploads = platform.application.gateway.batches.uploads
    uploads["alice"] = 4
    try:
        answer = upload(web, jsonl(request()))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "gateway_overloaded")
        assert upload(clients["charlie"], jsonl(request("charlies-gpt"))).status_code == 200
    finally:
        del uploads["alice"]


@pytest.mark.parametrize(
    ("lines_", "code", "says"),
    [
        ([request(), request("gpt")], "batch_line_invalid", "Line 2 of the file: it names"),
        ([request("nobodys")], "model_not_found", "Line 1 of the file"),
        ([request("charlies-gpt")], "model_not_found", "Line 1 of the file"),
        ([request("closed")], "model_not_found", "Line 1 of the file"),
        ([request("claude")], "model_ability_missing", "does not offer batches"),
        ([request("ruled")], "model_ability_missing", "as it has rules"),
        ([request(), {"custom_id": "x"}], "batch_line_invalid", "Line 2 of the file"),
        ([request(), {**request(), "body": []}], "invalid_request", "Line 2 of the file"),
        ([request(url="/v1/files")], "batch_line_invalid", "cannot be asked in a batch"),
        ([request(url="/v1/messages")], "batch_line_invalid", "cannot be asked in a batch"),
        ([request(url="/v1/embeddings")], "batch_line_invalid", "cannot be asked for"),
        ([{**request(), "method": "DELETE"}], "batch_line_invalid", "cannot be asked"),
        ([], "batch_file_invalid", "holds no request"),
    ],
)
def test_a_line_that_cannot_be_asked_is_named(web, keeper, provider, lines_, code, says):
    answer = upload(web, jsonl(*lines_) or b"\n")
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["code"] == code
    assert says in answer.json()["error"]["message"]
    assert provider.asked == []


def test_what_is_no_json_and_what_is_too_much_is_named(web, keeper, provider, monkeypatch):
    answer = upload(web, jsonl(request()) + b"{nonsense}\n")
    assert "Line 2 of the file" in answer.json()["error"]["message"]
    monkeypatch.setattr(lines, "MOST_LINES", 3)
    answer = upload(web, jsonl(*[request()] * 4))
    assert answer.json()["error"]["code"] == "batch_file_invalid"
    monkeypatch.setattr(lines, "LINE_LIMIT", 200)
    answer = upload(web, jsonl(request(), request(text="x" * 200_000)))
    assert answer.json()["error"]["code"] == "batch_line_invalid"
    assert provider.asked == []


def test_a_form_that_is_none_is_refused(web, keeper, provider):
    for answer, code in (
        (web.post("/v1/files", json={}), "invalid_request"),
        (upload(web, jsonl(request()), purpose="assistants"), "invalid_request"),
        (web.post("/v1/files", data={"purpose": "batch"}, files={"x": b"y"}), "invalid_request"),
        (web.put("/v1/files"), "method_not_allowed"),
        (web.get("/v1/batches/a/b/c"), "route_not_found"),
    ):
        assert answer.json()["error"]["code"] == code
    assert provider.asked == []


def test_who_is_nobody_has_no_files(platform):
    answer = httpx.get(f"{platform.url}/v1/files", headers={"host": "alice.localhost"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "api_key_missing")


# Batches


def test_a_batch_is_created_shown_listed_and_cancelled(web, keeper, provider):
    file = upload(web, jsonl(request())).json()
    told = create(web, file["id"], metadata={"team": "blue"}).json()
    asked = json.loads(provider.last.body)
    assert asked["input_file_id"] in keeper.files
    assert asked["metadata"]["team"] == "blue"
    assert told["input_file_id"] == file["id"]
    assert told["metadata"] == {"team": "blue"}
    assert told["id"] not in keeper.batches
    assert web.get(f"/v1/batches/{told['id']}").json() == told
    assert web.get("/v1/batches").json() == {
        "object": "list",
        "data": [told],
        "first_id": told["id"],
        "last_id": told["id"],
        "has_more": False,
    }
    cancelled = web.post(f"/v1/batches/{told['id']}/cancel").json()
    assert (cancelled["id"], cancelled["status"]) == (told["id"], "cancelling")


def test_lists_are_paged_over_providers_and_hold_ones_own(
    web, keeper, second, clients, monkeypatch
):
    monkeypatch.setattr(lists, "PAGE", 2)
    Keeper(second)
    mine = []
    for model in ("batched", "batched-second") * 3:
        file = upload(web, jsonl(request(model))).json()
        mine.append(create(web, file["id"]).json()["id"])
        others = upload(clients["other"], jsonl(request())).json()
        create(clients["other"], others["id"])
    for number in range(3):
        keeper.put(b"", f"hubpo-forged{number}~x")
        keeper._create({"endpoint": "", "input_file_id": "f", "completion_window": ""})
    wanted = mine[0::2][::-1] + mine[1::2][::-1]
    seen, after = [], ""
    for _ in range(10):
        page = web.get(f"/v1/batches?limit=2{after}").json()
        seen += [one["id"] for one in page["data"]]
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
    assert seen == wanted
    answer = web.get("/v1/files")
    assert answer.headers["x-hubpo-missing"] == "Provider down"
    files = answer.json()
    assert len(files["data"]) == 2
    assert files["has_more"]
    assert web.get("/v1/batches?limit=x").json()["error"]["code"] == "invalid_request"
    assert web.get("/v1/batches?after=x").json()["error"]["code"] == "batch_not_found"
    assert web.get("/v1/files?after=x").json()["error"]["code"] == "file_not_found"


def test_metadata_keeps_room_for_the_gateways(web, keeper):
    file = upload(web, jsonl(request())).json()
    for metadata in ({"hubpo": "x"}, {str(n): "x" for n in range(16)}, "x"):
        answer = create(web, file["id"], metadata=metadata)
        assert answer.json()["error"]["code"] == "invalid_request"
        assert answer.json()["error"]["param"] == "metadata"
    assert keeper.batches == {}


def test_openais_sdk_does_batches(platform, keeper):
    sdk = openai.OpenAI(base_url=f"{platform.url}/v1", api_key=ALICE, max_retries=0)
    file = sdk.files.create(file=("r.jsonl", jsonl(request())), purpose="batch")
    batch = sdk.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    keeper.finish((3, 4))
    batch = sdk.batches.retrieve(batch.id)
    assert batch.status == "completed"
    (answer,) = sdk.files.content(batch.output_file_id).text.splitlines()
    assert json.loads(answer)["response"]["body"]["usage"]["total_tokens"] == 7
    assert [one.id for one in sdk.batches.list()] == [batch.id]
    assert [one.id for one in sdk.files.list(purpose="batch")] == [file.id]
    assert sdk.files.retrieve(batch.output_file_id).purpose == "batch_output"
    assert sdk.files.delete(file.id).deleted


def test_a_list_says_which_providers_could_not_be_asked(provider, clients):
    provider.says(b"{}", status=500)
    answer = clients["charlie"].get("/v1/batches")
    assert answer.status_code == 200
    assert "First" in answer.headers["x-hubpo-missing"]
    provider.says(b"[]")
    answer = clients["charlie"].get("/v1/files")
    assert "First" in answer.headers["x-hubpo-missing"]


# Whose they are


@pytest.mark.parametrize("who", ["other", "charlie"])
def test_nobody_else_comes_through_any_door(web, keeper, provider, clients, who):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    keeper.finish((3, 4))
    output = web.get(f"/v1/batches/{batch}").json()["output_file_id"]
    provider.asked.clear()
    them = clients[who]
    for id_ in (file, output):
        for answer in (
            them.get(f"/v1/files/{id_}"),
            them.get(f"/v1/files/{id_}/content"),
            them.delete(f"/v1/files/{id_}"),
            create(them, id_),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")
        assert them.get(f"/v1/files?after={id_}").json()["error"]["code"] == "file_not_found"
    for answer in (
        them.get(f"/v1/batches/{batch}"),
        them.post(f"/v1/batches/{batch}/cancel"),
        them.get(f"/v1/batches?after={batch}"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "batch_not_found")
    assert provider.asked == []
    assert them.get("/v1/files").json()["data"] == []
    assert them.get("/v1/batches").json()["data"] == []


def test_ids_cannot_be_guessed_or_changed(web, keeper, provider):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    provider.asked.clear()
    changed = file[:20] + ("A" if file[20] != "A" else "B") + file[21:]
    (theirs,), (their_batch,) = keeper.files, keeper.batches
    for id_ in (theirs, changed, file[:-1], file.replace("file-", "batch_"), "file-", "a%2Fb"):
        assert web.get(f"/v1/files/{id_}").status_code == 404
    for id_ in (their_batch, batch[:-2] + "AA", file, batch.replace("batch_", "file-")):
        assert web.get(f"/v1/batches/{id_}").status_code == 404
    assert provider.asked == []


def test_a_mark_holds_for_its_kind_and_whom_it_was_written_for():
    signer = Signer("an old secret of more than thirty-two characters")
    mark = Mark("deployment", "id", 3, 4, "batch")
    own = Marks(signer, "tenant", "application")
    text = own.write("file", mark)
    assert own.read("file", text) == mark
    assert own.read("batch", text.replace("file-", "batch_")) is None
    for tenant, application in (("tenant", "other"), ("other", "application"), ("tenanta", "pp")):
        assert Marks(signer, tenant, application).read("file", text) is None
    rotated = Signer(
        "the new secret of more than thirty-two characters,"
        "an old secret of more than thirty-two characters"
    )
    assert Marks(rotated, "tenant", "application").read("file", text) == mark
    other = Signer("a secret of somebody else, of many characters".replace(",", ""))
    assert Marks(other, "tenant", "application").read("file", text) is None


# What they cost


def test_a_batch_is_recorded_once_at_batch_prices(web, keeper, platform):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "in_progress"
    told = keeper.finish((1000, 100), (500, 1), failed=1)
    id_ = counted.record_id("alice", "first", told["id"])
    for _ in range(3):
        assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"
    event = platform.event(id_)
    assert len(batch_records(platform, id_)) == 1
    assert (event.input_tokens, event.output_tokens) == (1500, 101)
    assert event.cost_micros == (1500 * 2_500_000 + 101 * 10_000_000) // 2 // 1_000_000
    assert (event.currency, event.at) == ("USD", told["completed_at"] * 1_000_000)
    assert (event.application_id, event.plan_id, event.model) == ("app", "free", "batched")
    assert (event.deployment_id, event.routed) == ("batched-0", "batch of 2 answers")


def test_who_asks_at_once_has_the_answers_read_once(web, keeper, provider, platform):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    told = keeper.finish((7, 7))
    answer = keeper.answer

    def slow(asked):
        if asked.line.split()[1].endswith("/content"):
            time.sleep(0.2)
        return answer(asked)

    provider.answer = slow
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: web.get(f"/v1/batches/{batch}"), range(4)):
            assert got.json()["status"] == "completed"
    assert sum("/content" in asked.line for asked in provider.asked) == 1
    id_ = counted.record_id("alice", "first", told["id"])
    assert platform.event(id_).input_tokens == 7
    assert len(batch_records(platform, id_)) == 1


def test_two_workers_write_the_same_record(web, keeper, platform):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    told = keeper.finish((7, 7))
    id_ = counted.record_id("alice", "first", told["id"])
    web.get(f"/v1/batches/{batch}")
    platform.application.gateway.batches._recorded.clear()  # As another worker, which saw nothing.
    web.get(f"/v1/batches/{batch}")
    one, two = platform.wait(lambda: (found := batch_records(platform, id_))[1:] and found)
    assert (one.id, one.at, one.cost_micros) == (two.id, two.at, two.cost_micros)


def test_answers_are_not_had_before_they_are_recorded(web, keeper, platform, provider):
    file = upload(web, jsonl(request())).json()["id"]
    create(web, file)
    told = keeper.finish((5, 6))
    output = web.get("/v1/batches").json()["data"][0]["output_file_id"]
    kept = keeper.files[told["output_file_id"]]
    keeper.files[told["output_file_id"]] = (kept[0], b"nonsense\n")
    refused = web.get(f"/v1/files/{output}/content")
    assert refused.json()["error"]["code"] == "provider_answer_unreadable"
    gone = web.delete(f"/v1/files/{output}")
    assert gone.json()["error"]["code"] == "provider_answer_unreadable"
    assert told["output_file_id"] in keeper.files
    keeper.files[told["output_file_id"]] = kept
    assert web.get(f"/v1/files/{output}/content").content == kept[1]
    assert platform.event(counted.record_id("alice", "first", told["id"])).output_tokens == 6


def test_what_has_no_batch_price_has_an_unknown_cost(web, keeper, platform):
    file = upload(web, jsonl(request("gpt"))).json()["id"]
    batch = create(web, file).json()["id"]
    told = keeper.finish((5, 6))
    web.get(f"/v1/batches/{batch}")
    event = platform.event(counted.record_id("alice", "first", told["id"]))
    assert (event.input_tokens, event.cost_micros) == (5, None)


def test_what_ended_long_ago_is_not_recorded_again(web, keeper, platform, provider):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    keeper.finish((5, 6))["completed_at"] = int(time.time()) - 31 * 86_400
    provider.asked.clear()
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"
    assert len(provider.asked) == 1


def test_answers_that_are_gone_do_not_hide_the_batch(web, keeper):
    file = upload(web, jsonl(request())).json()["id"]
    batch = create(web, file).json()["id"]
    del keeper.files[keeper.finish((5, 6))["output_file_id"]]
    assert web.get(f"/v1/batches/{batch}").json()["status"] == "completed"


def test_a_budget_counts_the_estimate_when_a_batch_is_created(keeper, platform, clients):
    web = clients["budget"]
    file = upload(web, jsonl(*[request(max_tokens=1000)] * 2)).json()["id"]
    first = create(web, file)
    assert first.status_code == 200
    refused = create(web, file)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "token_limit_exceeded")
    assert len(keeper.batches) == 1
    event = platform.event(first.headers["x-request-id"])
    assert (event.input_tokens, event.output_tokens, event.cost_micros) == (0, 0, 0)
    assert web.get(f"/v1/batches/{first.json()['id']}").status_code == 200


def test_money_is_counted_at_batch_prices_and_no_other_model_takes_its_place(keeper, clients):
    web = clients["money"]
    unpriced = upload(web, jsonl(request("gpt"))).json()["id"]
    assert create(web, unpriced).json()["error"]["code"] == "price_unknown"
    file = upload(web, jsonl(*[request(max_tokens=1000)] * 2)).json()["id"]
    assert create(web, file).status_code == 200
    refused = create(web, file)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
    assert len(keeper.batches) == 1


def test_a_provider_that_fails_is_said_in_the_clients_format(web, keeper, provider):
    file = upload(web, jsonl(request())).json()["id"]
    for status, code in ((401, "provider_rejected_credentials"), (302, "provider_error")):
        provider.says(b"{}", status=status)
        answer = web.get(f"/v1/files/{file}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, code)
    provider.says(b"", status=500)
    answer = web.get(f"/v1/files/{file}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "provider_error")
    provider.says(b"?")
    answer = web.get(f"/v1/files/{file}")
    assert answer.json()["error"]["code"] == "provider_answer_unreadable"


# The form


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n'
    b"Content-Type: text/plain\r\n\r\n{}\r\n--y\r\n\n\r\n"
    b'--x\r\ncontent-disposition: form-data; name="empty"\r\n\r\n\r\n--x--\r\nafter'
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_a_form_is_the_same_however_it_is_cut(size):
    parts, read = Parts(b"multipart/form-data; boundary=x"), []
    for at in range(0, len(FORM), size):
        for item in parts.feed(FORM[at : at + size]):
            if isinstance(item, Field):
                read.append([item.name, item.filename, b""])
            elif item is not None:
                read[-1][2] += item
    assert parts.over
    assert read == [
        ["purpose", None, b"batch"],
        ["file", "a.jsonl", b"{}\r\n--y\r\n\n"],
        ["empty", None, b""],
    ]


@pytest.mark.parametrize("body", [b"--x??", b"--x\r\n" + b"a" * 5000, b"--x\r\nno: name\r\n\r\n"])
def test_what_is_no_form_is_refused(body):
    with pytest.raises(InvalidRequest):
        Parts(b"multipart/form-data; boundary=x").feed(body)
