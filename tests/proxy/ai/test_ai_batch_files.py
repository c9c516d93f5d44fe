"""Files of batches: how they are taken in, and what is refused."""

import json
import tempfile

import httpx
import pytest
from ai_batches import jsonl, request, upload
from ai_cast import ALICE

from proxy.ai.batches import lines
from proxy.ai.batches import upload as upload_module
from proxy.ai.batches.forms import Field, Parts
from proxy.ai.errors import InvalidRequest


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
        ([request("nova")], "model_ability_missing", "does not offer batches"),
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


def test_a_line_does_not_become_large(web, keeper, provider):
    many = {f"name{number}": 1 for number in range(200_000)}
    answer = upload(web, json.dumps(many | request()).encode())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_values")
    assert "Line 1 of the file" in answer.json()["error"]["message"]
    assert provider.asked == []


def test_a_form_holds_little_beside_its_file(web, keeper, provider):
    fields = {f"field{number}": "x" * 1000 for number in range(100)}
    answer = web.post(
        "/v1/files",
        data={"purpose": "batch"} | fields,
        files={"file": ("a.jsonl", jsonl(request()))},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "beside its file" in answer.json()["error"]["message"]
    assert provider.asked == []


def test_empty_lines_are_no_requests_and_not_without_number(web, keeper, provider, monkeypatch):
    monkeypatch.setattr(lines, "MOST_LINES", 3)
    assert upload(web, b"\n" * 4 + jsonl(request())).json()["error"]["code"] == "batch_file_invalid"
    assert upload(web, jsonl(request()) + b"\n" * 4).status_code == 200
    many = upload(web, jsonl(request()) + b"\n" * 9)
    assert (many.status_code, many.json()["error"]["code"]) == (400, "batch_file_invalid")


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
