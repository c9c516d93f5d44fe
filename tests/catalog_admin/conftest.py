"""A small catalogue in each of two tenants, made through the services."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
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
    Publication,
    Route,
    Target,
    Upstream,
)
from catalog.services import access, ai, apis, prompts, publishing, upstreams
from contract import keys, snapshot

PROVIDER_SECRET = "sk-provider-0123456789-9K2x"


def _fill(actor: Any) -> SimpleNamespace:
    upstream = upstreams.save_upstream(
        upstream=Upstream(name="Weather service"),
        targets=[Target(url="http://127.0.0.1:9/weather")],
    )
    api = apis.save_api(
        api=Api(name="Weather", listen_path="/weather", upstream=upstream),
        routes=[Route(path="/cities/{city}", methods=["GET"])],
    )
    apis.publish_api(api=api)
    models = apis.publish_api(api=apis.save_api(api=Api(name="Models", kind="ai", listen_path="x")))
    provider = ai.save_provider(
        provider=Provider(name="Northern cloud", base_url="https://ai.north.example/v1")
    )
    ai.set_credential(provider=provider, secret=PROVIDER_SECRET)
    model = ai.save_model(
        model=AIModel(name="north-large", abilities=["chat"]),
        apis=[models],
        deployments=[Deployment(provider=provider, provider_model="large", input_price=2)],
    )
    prompt = prompts.create_prompt(name="Sentiment", listen_path="/prompts/sentiment")
    version = prompts.add_version(
        prompt=prompt,
        model=model,
        messages=[{"role": "user", "template": "One word for: {{ text }}"}],
        variables=[{"name": "text"}],
        parameters={"temperature": 0},
        actor=actor,
    )
    prompts.publish_version(version=version)
    limit = Limit(amount=10, window="minute", per="subscription")
    plan = access.save_plan(plan=Plan(name="Team"), limits=[limit])
    application = access.save_application(application=Application(name="Web shop"))
    key, _ = access.issue_key(application=application, name="production")
    subscription = access.request_subscription(
        application=application, api=api, plan=plan, actor=actor, reason="For the shop"
    )
    publication = Publication.objects.create(
        version=900, status="refused", problem="Route /x has no upstream."
    )
    return SimpleNamespace(
        upstream=upstream,
        api=api,
        models=models,
        provider=provider,
        aimodel=model,
        prompt=prompt,
        plan=plan,
        limit=limit,
        application=application,
        apikey=key,
        subscription=subscription,
        publication=publication,
    )


@pytest.fixture
def ours(alice_tenant: Any, alice: Any) -> SimpleNamespace:
    """The rows of Alice's tenant, by model name."""
    with alice_tenant:
        return _fill(alice)


@pytest.fixture
def theirs(charlie_tenant: Any, charlie: Any) -> SimpleNamespace:
    """The rows of Charlie's tenant, by model name."""
    with charlie_tenant:
        return _fill(charlie)


@pytest.fixture
def vera(alice_tenant: Any, member: Any) -> Any:
    """A viewer in Alice's tenant."""
    return member(alice_tenant, "viewer", "vera")


@pytest.fixture
def second(ours: Any, in_alice: Any) -> AIModel:
    """Another model of Alice's tenant."""
    return ai.save_model(
        model=AIModel(name="north-small", abilities=["chat"]),
        apis=[ours.models],
        deployments=[Deployment(provider=ours.provider, provider_model="small")],
    )


@pytest.fixture
def told(client: Any, alice_tenant: Any, in_alice: Any) -> Any:
    """``told(address, form)``: posts it, and the snapshot that gateways are then told."""

    def post(address: str, form: dict[str, Any]) -> Any:
        answer = client.post(address, form)
        assert answer.status_code == 302, answer.context and answer.context.get("errors")
        waiting, connection.run_on_commit = connection.run_on_commit, []
        with publishing.watch():
            for _, call, *_ in waiting:
                call()
        return snapshot.decode(store.client().get(keys.snapshot_blob(str(alice_tenant.pk))))

    yield post
    store.remove(str(alice_tenant.pk))
