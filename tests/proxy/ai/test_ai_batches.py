"""Batches of OpenAI's format: whose they are and what they are told."""

import json

import openai
import pytest
from ai_batches import Keeper, create, jsonl, request, upload
from ai_cast import ALICE

from contract.secrets import Signer
from proxy.ai.batches import lists
from proxy.ai.batches.marks import Mark, Marks


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
    for wrong in ("x", "0", "-1", "20000", "1e3", "00001" + 5000 * "0"):
        refused = web.get(f"/v1/batches?limit={wrong}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
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
