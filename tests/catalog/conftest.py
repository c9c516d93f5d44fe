"""A small catalogue in Alice's tenant, made by the services themselves."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import connection

from catalog import store
from catalog.models import (
    AIModel,
    Api,
    Application,
    Deployment,
    Limit,
    Plan,
    Provider,
    Route,
    Target,
    Upstream,
)
from catalog.services import access, ai, apis, prompts, publishing, upstreams
from contract import keys, snapshot


@pytest.fixture(autouse=True)
def _empty_store():
    """What a test has published does not outlive it."""
    address = settings.REDIS_URL
    yield
    settings.REDIS_URL = address
    for tenant_id in store.stored_all():
        store.remove(tenant_id)


@pytest.fixture
def committed():
    """``with committed() as outcomes``: as if the block were a transaction of its own.

    What waits for the commit is called at its end, although the test's own transaction,
    which is rolled back, goes on.
    """

    @contextmanager
    def commit():
        with publishing.watch() as outcomes:
            yield outcomes
            calls, connection.run_on_commit = connection.run_on_commit, []
            for _, call, *_ in calls:
                call()

    return commit


@pytest.fixture
def program(alice_tenant, alice, api_client):
    """A program with a token of Alice's."""
    return api_client(alice_tenant, alice)


@pytest.fixture
def call(program, committed):
    """``call("post", "/api/apis/", {...}, 201)``: the body of an answer with that status."""

    def make(method, path, body=None, status=200):
        with committed():
            response = getattr(program, method)(path, body)
        assert response.status_code == status, response.content
        if status >= 400:
            assert response["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == status
        return response.json() if response.content else None

    return make


@pytest.fixture
def in_store():
    """``in_store(tenant)``: the snapshot that gateways would load now, or None."""

    def read(tenant):
        blob = store.client().get(keys.snapshot_blob(str(tenant.pk)))
        return snapshot.decode(blob) if blob else None

    return read


@pytest.fixture
def upstream(in_alice):
    row = Upstream(name="Orders")
    targets = [Target(url="http://10.0.0.7:8080/base/"), Target(url="https://[2001:db8::1]")]
    return upstreams.save_upstream(upstream=row, targets=targets)


@pytest.fixture
def api(upstream):
    row = Api(name="Orders", listen_path="/orders", upstream=upstream, max_body_bytes=1000)
    routes = [
        Route(path="/items/{id}", methods=["PUT", "GET"]),
        Route(path="/old/{rest*}", rewrite="/new/{rest*}"),
        Route(path="/off", enabled=False),
    ]
    apis.save_api(api=row, routes=routes)
    return apis.publish_api(api=row)


@pytest.fixture
def application(in_alice):
    return access.save_application(application=Application(name="Shop"))


@pytest.fixture
def plan(in_alice):
    limits = [
        Limit(amount=60, window="minute", per="subscription"),
        Limit(amount=5000, window="day", per="subscription"),
    ]
    return access.save_plan(plan=Plan(name="Free"), limits=limits)


@pytest.fixture
def subscription(application, api, plan, alice):
    return access.request_subscription(
        application=application, api=api, plan=plan, actor=alice, reason="For the shop"
    )


@pytest.fixture
def models_api(in_alice):
    return apis.publish_api(api=Api(name="Models", kind="ai"))


@pytest.fixture
def provider(in_alice):
    return ai.save_provider(provider=Provider(name="Maker", base_url="https://maker.example/v1/"))


@pytest.fixture
def model(models_api, provider):
    deployment = Deployment(
        provider=provider, provider_model="maker-1", input_price="0.15", output_price="0.000001"
    )
    row = AIModel(name="fast", abilities=["chat"])
    return ai.save_model(model=row, apis=[models_api], deployments=[deployment])


@pytest.fixture
def prompt(model, alice):
    row = prompts.create_prompt(name="Mood", listen_path="/prompts/mood")
    version = prompts.add_version(
        prompt=row,
        model=model,
        messages=[{"role": "user", "template": "Is this friendly? {{ text }}"}],
        variables=[{"name": "text"}],
        parameters={"temperature": 0},
        actor=alice,
    )
    return prompts.publish_version(version=version)


@pytest.fixture
def catalogue(api, application, plan, subscription, provider, model, models_api, prompt, upstream):
    """One of everything."""
    key, secret = access.issue_key(application=application, name="first")
    return SimpleNamespace(
        api=api,
        application=application,
        key=key,
        secret=secret,
        model=model,
        models_api=models_api,
        plan=plan,
        prompt=prompt,
        version=prompt.published_version,
        provider=provider,
        subscription=subscription,
        upstream=upstream,
    )
