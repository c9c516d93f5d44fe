"""Prompts and their versions through the management API."""

from __future__ import annotations

from uuid import uuid4

from catalog.models import Api


def test_a_prompt_and_its_versions(call, model, in_alice, in_store):
    made = call("post", "/api/prompts/", {"name": "Mood", "listen_path": "/mood"}, 201)
    path = f"/api/prompts/{made['id']}/"
    assert (made["state"], made["published_version"]) == ("draft", None)
    body = {
        "model": str(model.pk),
        "messages": [{"role": "user", "template": "{{ text }}\n"}],
        "variables": [{"name": "text"}],
        "parameters": {"temperature": 0.5, "stop": ["."]},
    }
    version = call("post", f"{path}versions/", body, 201)
    assert (version["number"], version["published"]) == (1, False)
    assert version["created_by"] == "alice"
    assert version["messages"] == body["messages"]
    assert version["parameters"] == body["parameters"]
    one = f"{path}versions/1/"
    assert call("post", f"{one}publish/")["published"] is True
    assert call("get", path)["published_version"] == 1
    assert in_store(in_alice).prompts[0].version == 1
    for method in ("put", "patch", "delete"):
        call(method, one, body, 405)
    problem = call("post", f"{path}versions/", body | {"variables": []}, 400)
    assert problem["code"] == "unknown_variable"
    assert "{{ text }} is not among the variables" in problem["errors"]["messages"][0]
    assert call("patch", path, {"listen_path": "/feeling"})["listen_path"] == "/feeling"
    assert call("post", f"{path}retire/")["state"] == "retired"
    call("get", f"{path}versions/2/", status=404)
    call("get", f"/api/prompts/{uuid4()}/versions/", status=404)
    call("delete", path, status=204)
    assert not Api.objects.filter(kind="prompt").exists()


def test_a_prompts_api_is_not_deleted_by_itself(call, prompt):
    problem = call("delete", f"/api/apis/{prompt.api_id}/", status=400)
    assert problem["code"] == "has_prompt"
