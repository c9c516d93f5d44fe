"""Who may do what through the management API, for every operation that its schema lists."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from resources import RESOURCES

from catalog.models import (
    AIModel,
    Api,
    ApiKey,
    Application,
    Limit,
    Plan,
    PriceChange,
    Prompt,
    Provider,
    Publication,
    Subscription,
    Upstream,
)
from catalog.services import access

# (method, path); {upstreams} and so on stand for the id of such a row.
READS = [
    *(("get", f"/api/{name}/") for name in RESOURCES),
    *(("get", f"/api/{name}/{{{name}}}/") for name in RESOURCES),
    ("get", "/api/applications/{applications}/limits/"),
    ("get", "/api/upstreams/{upstreams}/health/"),
    ("get", "/api/library/"),
    ("get", "/api/library/updates/"),
    ("get", "/api/subscriptions/{subscriptions}/limits/"),
    ("get", "/api/prompts/{prompts}/versions/"),
    ("get", "/api/prompts/{prompts}/versions/1/"),
]  # fmt: skip
CHANGEABLE = (
    "upstreams", "apis", "applications", "plans", "limits", "providers", "models",
    "prices", "prompts",
)  # fmt: skip
WRITES = [
    *(("post", f"/api/{name}/") for name in (*CHANGEABLE, "keys", "subscriptions")),
    *(("put", f"/api/{name}/{{{name}}}/") for name in CHANGEABLE),
    *(("patch", f"/api/{name}/{{{name}}}/") for name in CHANGEABLE),
    *(("delete", f"/api/{name}/{{{name}}}/") for name in CHANGEABLE),
    ("post", "/api/library/"),
    ("post", "/api/library/updates/"),
    ("post", "/api/apis/{apis}/publish/"),
    ("post", "/api/apis/{apis}/retire/"),
    ("post", "/api/keys/{keys}/rotate/"),
    ("post", "/api/keys/{keys}/revoke/"),
    ("post", "/api/subscriptions/{subscriptions}/approve/"),
    ("post", "/api/subscriptions/{subscriptions}/reject/"),
    ("post", "/api/subscriptions/{subscriptions}/revoke/"),
    ("put", "/api/providers/{providers}/credential/"),
    ("delete", "/api/providers/{providers}/credential/"),
    ("post", "/api/prompts/{prompts}/retire/"),
    ("post", "/api/prompts/{prompts}/versions/"),
    ("post", "/api/prompts/{prompts}/versions/1/publish/"),
]
MODELS = {
    "upstreams": Upstream,
    "apis": Api,
    "applications": Application,
    "keys": ApiKey,
    "plans": Plan,
    "limits": Limit,
    "subscriptions": Subscription,
    "providers": Provider,
    "models": AIModel,
    "prices": PriceChange,
    "prompts": Prompt,
    "publications": Publication,
}


@pytest.fixture
def ids(catalogue):
    """The id of one row of each kind in Alice's tenant."""
    Publication.objects.create(version=1000, status="published")
    since = timezone.now() + timedelta(days=1)
    PriceChange.objects.create(deployment=catalogue.model.deployments.get(), since=since)
    return {name: str(model.objects.first().pk) for name, model in MODELS.items()}


def ask(client, method, path, ids):
    """The answer; whatever it did is undone."""
    body = {"secret": "sk-0123456789abcdef"} if path.endswith("credential/") else {}
    with transaction.atomic():
        options = {} if method == "get" else {"data": body, "format": "json"}
        response = getattr(client, method)(path.format(**ids), **options)
        transaction.set_rollback(True)
    return response


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator().get_schema(request=None, public=True)


def test_every_operation_of_the_schema_is_in_the_tables(schema):
    listed = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for path, operations in schema["paths"].items()
        for method in operations
        if not re.match(r"/api/(members|tokens|usage)/", path)
    }
    tables = {
        (method, re.sub(r"\{\w+\}|(?<=versions/)1", "{}", path)) for method, path in READS + WRITES
    }
    assert tables == listed


@pytest.mark.parametrize("role", ["owner", "admin", "publisher", "viewer"])
def test_what_each_role_may_do(role, alice_tenant, member, api_client, ids):
    client = api_client(alice_tenant, member(alice_tenant, role))
    for method, path in READS:
        assert ask(client, method, path, ids).status_code == 200, path
    for method, path in WRITES:
        status = ask(client, method, path, ids).status_code
        if role == "viewer":
            assert status == 403, (method, path)
        else:
            assert status in (200, 201, 204, 400, 409), (method, path, status)


def test_nobody_gets_in_without_a_token(alice_tenant, api_client, ids):
    for client in (api_client(alice_tenant), api_client(alice_tenant, token="hubt_unknown")):
        for method, path in READS + WRITES:
            response = ask(client, method, path, ids)
            assert response.status_code == 401, (method, path)
            assert response["Content-Type"] == "application/problem+json"
            assert response["WWW-Authenticate"].startswith("Token")


@pytest.fixture
def charlies_token(charlie_tenant, charlie):
    from tenants import services

    return services.issue_token(membership=charlie.memberships.get(), name="t")[1]


def test_another_tenants_member_is_as_unknown_as_anybody(
    charlies_token, alice_tenant, api_client, ids
):
    for method, path in READS + WRITES:
        unknown = ask(api_client(alice_tenant, token="hubt_unknown"), method, path, ids)
        stranger = ask(api_client(alice_tenant, token=charlies_token), method, path, ids)
        assert stranger.status_code == 401, (method, path)
        assert stranger.content == unknown.content


@pytest.fixture
def charlies_ids(charlie_tenant):
    """The ids of one row of each kind in Charlie's tenant."""
    from catalog.models import Deployment, PromptVersion, Target

    with charlie_tenant:
        upstream = Upstream.objects.create(name="Secret")
        Target.objects.create(upstream=upstream, url="https://secret.example")
        api = Api.objects.create(name="Secret", listen_path="/secret", upstream=upstream)
        application = Application.objects.create(name="Secret")
        access.issue_key(application=application)
        plan = Plan.objects.create(name="Secret")
        Limit.objects.create(plan=plan, amount=77, window="hour")
        Subscription.objects.create(application=application, api=api, plan=plan)
        provider = Provider.objects.create(name="Secret", base_url="https://secret.example/v1")
        model = AIModel.objects.create(name="secret", abilities=["chat"])
        deployment = Deployment.objects.create(model=model, provider=provider, provider_model="x")
        since = timezone.now() + timedelta(days=1)
        PriceChange.objects.create(deployment=deployment, since=since)
        prompt_api = Api.objects.create(name="P", kind="prompt", listen_path="/p")
        prompt = Prompt.objects.create(name="Secret", api=prompt_api)
        PromptVersion.objects.create(prompt=prompt, number=1, model=model)
        Publication.objects.create(version=7, status="published")
        of = {name: str(kind.objects.first().pk) for name, kind in MODELS.items()}
        return of | {"deployments": str(deployment.pk)}


def test_another_tenants_things_are_as_if_they_did_not_exist(
    charlies_ids, alice_tenant, alice, api_client, ids
):
    client = api_client(alice_tenant, alice)
    nobodys = {name: str(uuid4()) for name in MODELS}
    for method, path in READS + WRITES:
        if "{" not in path:
            continue
        theirs = ask(client, method, path, charlies_ids)
        unknown = ask(client, method, path, nobodys)
        assert theirs.status_code == unknown.status_code == 404, (method, path)
        assert theirs.content == unknown.content


def test_another_tenants_things_cannot_be_referred_to(
    charlies_ids, alice_tenant, alice, api_client, ids
):
    client = api_client(alice_tenant, alice)
    nobodys = {name: str(uuid4()) for name in charlies_ids}

    def bodies(of):
        deployment = {"provider": of["providers"], "provider_model": "x"}
        version = {"model": of["models"], "messages": [{"role": "user", "template": "x"}]}
        yield "/api/apis/", {"name": "N", "listen_path": "/n", "upstream": of["upstreams"]}
        yield "/api/keys/", {"application": of["applications"]}
        for name, field in (("applications", "application"), ("apis", "api"), ("plans", "plan")):
            mine = {"application": "applications", "api": "apis", "plan": "plans"}
            body = {key: ids[kind] for key, kind in mine.items()}
            yield "/api/subscriptions/", body | {field: of[name]}
            yield "/api/limits/", {"amount": 5, "window": "hour", field: of[name]}
        yield "/api/limits/", {"amount": 5, "window": "hour", "key": of["keys"]}
        yield "/api/models/", {"name": "n", "abilities": ["chat"], "apis": [of["apis"]]}
        yield "/api/models/", {"name": "n", "abilities": ["chat"], "deployments": [deployment]}
        yield "/api/models/", {"name": "n", "abilities": ["chat"], "fallbacks": [of["models"]]}
        rule = {"name": "r", "target": of["models"]}
        yield "/api/models/", {"name": "n", "abilities": ["chat"], "rules": [rule]}
        yield "/api/prices/", {"deployment": of["deployments"]}
        yield f"/api/prompts/{ids['prompts']}/versions/", version
        upstream = f"/api/upstreams/{ids['upstreams']}/"
        yield (
            upstream,
            {"name": "U", "targets": [{"id": of["upstreams"], "url": "http://a.example"}]},
        )

    for (path, theirs), (_, unknown) in zip(bodies(charlies_ids), bodies(nobodys), strict=True):
        if path.startswith("/api/upstreams/"):
            assert client.put(path, theirs).status_code == client.put(path, unknown).status_code
            continue
        one, other = client.post(path, theirs), client.post(path, unknown)
        assert (one.status_code, other.status_code) == (400, 400), path
        text = one.content.decode()
        for name in charlies_ids:
            text = text.replace(charlies_ids[name], nobodys[name])
        assert text == other.content.decode()


def test_filters_by_another_tenants_things_find_what_unknown_ones_find(
    charlies_ids, alice_tenant, alice, api_client, ids
):
    client = api_client(alice_tenant, alice)
    for path in (
        "keys/?application={applications}",
        "apis/?upstream={upstreams}",
        "limits/?plan={plans}",
    ):
        one = client.get("/api/" + path.format(**charlies_ids))
        other = client.get("/api/" + path.format(**{name: uuid4() for name in MODELS}))
        assert one.status_code == other.status_code == 400


def test_a_session_needs_the_csrf_token(alice_tenant, alice):
    client = Client(enforce_csrf_checks=True, HTTP_HOST="alice.localhost")
    client.force_login(alice)
    assert client.get("/api/plans/").status_code == 200
    refused = client.post("/api/plans/", {"name": "P"}, content_type="application/json")
    assert refused.status_code == 403
    assert refused["Content-Type"] == "application/problem+json"
    client.get("/admin/")
    client.cookies["csrftoken"] = token = "a" * 32
    made = client.post(
        "/api/plans/",
        {"name": "P"},
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert made.status_code == 201


def test_a_strangers_session_is_refused(charlie, alice_tenant, client_for):
    assert client_for(alice_tenant, charlie).get("/api/plans/").status_code in (401, 403)


@pytest.mark.django_db(transaction=True)
def test_two_who_take_the_same_name_at_once(alice_tenant, alice, api_client):
    program = api_client(alice_tenant, alice)
    written, may_commit = threading.Event(), threading.Event()

    def other():
        with alice_tenant, transaction.atomic():
            Application.objects.create(name="Shop")
            written.set()
            may_commit.wait(10)
        connections.close_all()

    thread = threading.Thread(target=other)
    thread.start()
    written.wait(10)
    threading.Timer(0.5, may_commit.set).start()
    response = program.post("/api/applications/", {"name": "Shop"})
    thread.join(10)
    assert response.status_code == 409
    assert response.json()["code"] == "conflict"


def test_the_schema_and_its_page_are_served_from_here(alice_tenant, alice, client_for):
    client = client_for(alice_tenant, alice)
    schema = client.get("/api/schema/")
    assert schema.status_code == 200
    page = client.get("/api/docs/")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert addresses
    assert all(address.startswith("/static/") for address in addresses)
    for address in addresses:
        assert client.get(address).status_code == 200, address


def test_the_schema_is_made_without_a_warning(capsys):
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.validation import validate_schema

    with GENERATOR_STATS.silence():
        made = SchemaGenerator().get_schema(request=None, public=True)
        found = {**GENERATOR_STATS._warn_cache, **GENERATOR_STATS._error_cache}
    validate_schema(made)
    assert found == {}


def test_every_operation_is_named_described_and_tells_its_problems(schema):
    names = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            names.append(operation["operationId"])
            assert operation.get("description"), (method, path)
            assert operation["tags"] == [path.split("/")[2]]
            if re.match(r"/api/(members|tokens)/", path):
                continue
            assert {"401", "403"} <= set(operation["responses"]), (method, path)
            assert "application/problem+json" in operation["responses"]["401"]["content"]
    assert len(names) == len(set(names))
    assert {"apis_publish", "keys_rotate", "subscriptions_approve", "models_list"} <= set(names)
