"""``manage.py create_demo``."""

from __future__ import annotations

import json
import shlex

import pytest
from django.core.management import call_command
from django.test import Client

from catalog import store
from catalog.models import AIModel, Api, Application, Plan, Provider, Subscription, Target
from catalog.services import ai
from contract import keys, snapshot
from tenants.models import Membership, Tenant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def create_demo(capsys):
    def run(*options):
        call_command("create_demo", *options)
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def in_force():
    tenant = Tenant.objects.get(slug="demo")
    return snapshot.decode(store.client().get(keys.snapshot_blob(str(tenant.pk))))


def test_everything_is_there_and_in_force(create_demo, settings):
    told = create_demo()
    assert told["created"] is True
    assert told["host"] == "demo.localhost"
    assert told["console"] == settings.CONSOLE_ADDRESS.format(host="demo.localhost")
    assert told["gateway"] == settings.GATEWAY_ADDRESS.format(host="demo.localhost")
    got = in_force()
    assert {api.listen_path for api in got.apis} == {
        "/weather",
        "/v1",
        "/prompts/sentiment",
        "/prompts/translate",
    }
    assert {model.name for model in got.models} == {"sandbox-chat", "sandbox-embed"}
    assert {plan.name for plan in got.plans} == {"Free", "Pro", "Unlimited"}
    assert {row.status for row in got.subscriptions} == {"approved", "pending", "rejected"}
    assert got.private_upstreams
    assert [key.digest for key in got.keys] == [keys.digest(told["api_key"])]
    assert got.upstreams[0].targets[0].path == "/weather"
    assert len(told["examples"]) == 3
    for example in told["examples"]:
        check_command(example["command"], told)


def check_command(command, told):
    parts = shlex.split(command)
    assert parts[0] == "curl"
    assert parts[1].startswith(told["gateway"])
    assert any(told["api_key"] in part for part in parts)
    if "-d" in parts:
        json.loads(parts[parts.index("-d") + 1])


def test_its_people_and_its_token_get_in(create_demo):
    told = create_demo()
    browser = Client(HTTP_HOST="demo.localhost")
    for person in ("admin", "viewer"):
        assert signs_in("demo.localhost", told[person])
    assert signs_in("localhost", told["operator"])
    headers = {"Authorization": f"Token {told['management_token']}"}
    assert browser.get("/api/apis/", headers=headers).json()["count"] == 4
    roles = Membership.objects.filter(tenant__slug="demo").values_list("user__username", "role")
    assert dict(roles) == {"admin": "owner", "viewer": "viewer"}


def signs_in(host, person):
    response = Client(HTTP_HOST=host).post("/admin/login/", {**person, "next": "/admin/"})
    return response.status_code == 302


def test_the_provider_without_a_key_is_offered_once_it_has_one(create_demo):
    create_demo()
    with Tenant.objects.get(slug="demo"):
        ai.set_credential(
            provider=Provider.objects.get(name="OpenAI"), secret="sk-0123456789abcdef"
        )
    assert "gpt-4o-mini" in {model.name for model in in_force().models}


def test_a_second_run_changes_nothing_and_knows_no_secret(create_demo):
    first = create_demo()
    version = in_force().version
    again = create_demo()
    assert again["created"] is False
    assert again["examples"] == []
    secrets = [again["api_key"], again["management_token"]]
    secrets += [again[name]["password"] for name in ("admin", "operator", "viewer")]
    assert secrets == [None] * 5
    assert in_force().version == version
    assert signs_in("demo.localhost", first["admin"])
    with Tenant.objects.get(slug="demo"):
        assert (Api.objects.count(), Plan.objects.count(), AIModel.objects.count()) == (4, 3, 3)
        assert (Application.objects.count(), Subscription.objects.count()) == (5, 10)


def test_credentials_are_replaced_when_asked(create_demo):
    first = create_demo()
    again = create_demo("--reset-credentials")
    for name in ("admin", "operator", "viewer"):
        assert again[name]["password"] != first[name]["password"]
    assert not signs_in("demo.localhost", first["admin"])
    assert signs_in("demo.localhost", again["admin"])
    assert [key.digest for key in in_force().keys] == [keys.digest(again["api_key"])]
    headers = {"Authorization": f"Token {first['management_token']}"}
    refused = Client(HTTP_HOST="demo.localhost").get("/api/apis/", headers=headers)
    assert refused.status_code == 401


def test_it_follows_the_sandbox_and_leaves_alone_what_people_changed(create_demo, settings):
    create_demo()
    with Tenant.objects.get(slug="demo"):
        Application.objects.get(name="Price scraper").delete()
    settings.SANDBOX_ADDRESS = "http://127.0.0.1:9999"
    create_demo()
    got = in_force()
    assert got.upstreams[0].targets[0].port == 9999
    assert got.providers[0].base_url == "http://127.0.0.1:9999/v1"
    with Tenant.objects.get(slug="demo"):
        assert Application.objects.count() == 4
        Target.objects.update(url="http://127.0.0.1:7000/mine")
    settings.SANDBOX_ADDRESS = "http://127.0.0.1:9998"
    create_demo()
    with Tenant.objects.get(slug="demo"):
        assert Target.objects.get().url == "http://127.0.0.1:7000/mine"


def test_publish_all_restores_a_store_that_lost_everything(create_demo, capsys):
    create_demo()
    store.remove(str(Tenant.objects.get(slug="demo").pk))
    call_command("publish_all")
    assert "demo: published" in capsys.readouterr().out
    assert len(in_force().apis) == 4
