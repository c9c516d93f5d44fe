"""Providers, their credentials and models through the management API."""

from __future__ import annotations

from uuid import uuid4

SECRET = "sk-live-0123456789abcdef"


def test_a_credential_is_written_and_never_read(call):
    body = {"name": "Maker", "base_url": "https://maker.example/v1"}
    made = call("post", "/api/providers/", body, 201)
    path = f"/api/providers/{made['id']}/"
    assert made["credential"] is None
    told = call("put", f"{path}credential/", {"secret": SECRET})
    assert told["credential"]["hint"] == "cdef"
    assert SECRET not in str(told)
    call("put", f"{path}credential/", {"secret": ""}, 400)
    call("get", f"{path}credential/", status=405)
    call("delete", f"{path}credential/", status=204)
    assert call("get", path)["credential"] is None


def test_a_model_from_first_to_last(call, provider, models_api, api):
    body = {
        "name": "fast",
        "abilities": ["chat"],
        "apis": [str(models_api.pk)],
        "deployments": [
            {"provider": str(provider.pk), "provider_model": "m-1", "input_price": "0.15"}
        ],
    }
    made = call("post", "/api/models/", body, 201)
    assert made["deployments"][0]["input_price"] == "0.150000"
    assert made["deployments"][0]["output_price"] is None
    path = f"/api/models/{made['id']}/"
    assert call("patch", path, {"enabled": False})["deployments"] == made["deployments"]
    problem = call("patch", path, {"apis": [str(api.pk)]}, 400)
    assert list(problem["errors"]) == ["apis"]
    call("delete", f"/api/providers/{provider.pk}/", status=409)
    call("delete", path, status=204)


def test_a_models_routing_is_set_and_wrong_values_are_refused(call, model):
    path = f"/api/models/{model.pk}/"
    made = call("patch", path, {"on_break": "continue", "compare_with": str(model.pk)})
    assert (made["on_break"], made["compare_with"]) == ("continue", str(model.pk))
    problem = call("patch", path, {"on_break": "restart", "compare_with": str(uuid4())}, 400)
    assert sorted(problem["errors"]) == ["compare_with", "on_break"]
    assert call("patch", path, {"compare_with": None})["compare_with"] is None


def test_a_model_with_two_deployments_is_found_once(call, model, provider):
    given = {"provider": str(provider.pk), "provider_model": "maker-1"}
    deployments = [given, given | {"provider_model": "maker-2"}]
    call("patch", f"/api/models/{model.pk}/", {"deployments": deployments})
    for query in (f"provider={provider.pk}", "search=maker", f"apis={model.apis.get().pk}"):
        assert call("get", f"/api/models/?{query}")["count"] == 1
        assert len(call("get", f"/api/models/?{query}")["results"]) == 1
    assert call("get", f"/api/models/?provider={provider.pk}&name=slow")["count"] == 0
