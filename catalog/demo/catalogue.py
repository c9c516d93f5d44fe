"""What the demo tenant publishes. Made once: what its people delete later stays deleted."""

from __future__ import annotations

import re

from django.conf import settings
from django.db import transaction

from catalog.models import (
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    Limit,
    Plan,
    Provider,
    Route,
    Target,
    Upstream,
)
from catalog.services import access, ai, apis, prompts, upstreams
from tenants.models import User

KEY_NAME = "Demo"
APPLICATION = "Travel app"
CHAT_MODEL = "sandbox-chat"


# A sandbox address as an earlier run wrote it; one that was changed by hand is left alone.
_SANDBOX = re.compile(r"http://127\.0\.0\.1:\d+(/weather|/v1)")


@transaction.atomic
def fill(owner: User) -> None:
    """Makes everything, unless there is an API already."""
    if Api.objects.exists():
        return
    weather, models = _weather(), apis.publish_api(api=Api(name="AI models", kind=Api.Kind.AI))
    chat = _models(models)
    sentiment, translation = _sentiment(chat, owner), _translation(chat, owner)
    free, pro, _ = _plans()
    travel, desk, partners, stations, scraper = (
        access.save_application(application=Application(name=name, description=text))
        for name, text in (
            (APPLICATION, "Shows forecasts, and reviews in the traveller's language."),
            ("Support desk", "Sorts what travellers write, and answers in their language."),
            ("Partner portal", "Shows partners the weather at their hotels."),
            ("Field stations", "Send in what their sensors measure."),
            ("Price scraper", "Wants a lot of weather, and does not say what for."),
        )
    )
    for api in (weather, models, sentiment, translation):
        _approve(travel, api, pro, owner)
    for api in (models, sentiment, translation):
        _approve(desk, api, pro, owner)
    _approve(partners, weather, free, owner)
    access.request_subscription(
        application=stations, api=weather, plan=free, reason="To report temperatures hourly."
    )
    refused = access.request_subscription(application=scraper, api=weather, plan=pro)
    access.reject_subscription(
        subscription=refused, actor=owner, reason="Say what it is for and ask again."
    )


@transaction.atomic
def follow_sandbox() -> None:
    """Leads what points at the sandbox to where it is now."""
    for target in Target.objects.all():
        if found := _SANDBOX.fullmatch(target.url):
            address = settings.SANDBOX_ADDRESS + found[1]
            if address != target.url:
                target.url = address
                upstreams.save_target(target=target)
    for provider in Provider.objects.all():
        if found := _SANDBOX.fullmatch(provider.base_url):
            address = settings.SANDBOX_ADDRESS + found[1]
            if address != provider.base_url:
                provider.base_url = address
                ai.save_provider(provider=provider)


@transaction.atomic
def key() -> str | None:
    """A key of the approved application in place of the demo's one before.

    None where the application is gone.
    """
    application = Application.objects.filter(name=APPLICATION).first()
    if application is None:
        return None
    for old in ApiKey.objects.filter(application=application, name=KEY_NAME, revoked_at=None):
        access.revoke_key(key=old)
    return access.issue_key(application=application, name=KEY_NAME)[1]


def _weather() -> Api:
    upstream = upstreams.save_upstream(
        upstream=Upstream(name="Weather service", description="Invented weather of real cities."),
        targets=[Target(url=f"{settings.SANDBOX_ADDRESS}/weather")],
    )
    routes = [
        Route(path="/cities", methods=["GET"]),
        Route(path="/cities/{city}", methods=["GET"]),
        Route(path="/reports", methods=["POST"]),
        Route(path="/reports/{id}", methods=["DELETE"]),
        Route(path="/slow", methods=["GET"]),
    ]
    api = Api(
        name="Weather",
        description="Forecasts for ten cities, and reports from where it is measured.",
        version="1.0",
        listen_path="/weather",
        upstream=upstream,
    )
    apis.save_api(api=api, routes=routes)
    return apis.publish_api(api=api)


def _models(api: Api) -> AIModel:
    sandbox = ai.save_provider(
        provider=Provider(
            name="Sandbox",
            base_url=f"{settings.SANDBOX_ADDRESS}/v1",
            needs_credential=False,
        )
    )
    openai = ai.save_provider(provider=Provider(name="OpenAI", preset="openai"))
    offered = (
        (CHAT_MODEL, "chat", sandbox, CHAT_MODEL, "0.15", "0.60"),
        ("sandbox-embed", "embeddings", sandbox, "sandbox-embedding", "0.02", None),
        ("gpt-4o-mini", "chat", openai, "gpt-4o-mini", "0.15", "0.60"),
    )
    for name, ability, provider, provider_model, input_price, output_price in offered:
        ai.save_model(
            model=AIModel(name=name, abilities=[ability], description=_DESCRIPTIONS[provider.name]),
            apis=[api],
            deployments=[
                Deployment(
                    provider=provider,
                    provider_model=provider_model,
                    input_price=input_price,
                    output_price=output_price,
                )
            ],
        )
    return AIModel.objects.get(name=CHAT_MODEL)


_DESCRIPTIONS = {
    "Sandbox": "Runs on this machine, answers by rule and costs nothing but play money.",
    "OpenAI": "Is offered as soon as the provider has its key.",
}


def _sentiment(model: AIModel, owner: User) -> Api:
    return _prompt(
        model,
        owner,
        name="Sentiment analysis",
        listen_path="/prompts/sentiment",
        description="Whether a text is positive, negative or neutral.",
        messages=[
            {
                "role": "system",
                "template": "You judge the sentiment of a text. Answer with a JSON object and "
                'nothing else: {"sentiment": "positive", "negative" or "neutral", '
                '"confidence": a number from 0 to 1}.',
            },
            {"role": "user", "template": "{{ text }}"},
        ],
        variables=[{"name": "text", "max_length": 10_000}],
        parameters={"temperature": 0, "response_format": {"type": "json_object"}},
    )


def _translation(model: AIModel, owner: User) -> Api:
    return _prompt(
        model,
        owner,
        name="Translation",
        listen_path="/prompts/translate",
        description="A text in another language.",
        messages=[
            {
                "role": "system",
                "template": "Translate the user's text into {{ language }}. Answer with the "
                "translation and nothing else.",
            },
            {"role": "user", "template": "{{ text }}"},
        ],
        variables=[
            {"name": "text", "max_length": 10_000},
            {"name": "language", "required": False, "default": "Spanish", "max_length": 40},
        ],
        parameters={"temperature": 0},
    )


def _prompt(
    model: AIModel, owner: User, *, name: str, listen_path: str, description: str, **version: object
) -> Api:
    prompt = prompts.create_prompt(name=name, listen_path=listen_path, description=description)
    first = prompts.add_version(
        prompt=prompt, model=model, actor=owner, notes="First version", **version
    )
    return prompts.publish_version(version=first).api


def _plans() -> list[Plan]:
    offered = (
        (
            "Free",
            "To try things out.",
            [
                Limit(measure="calls", amount=60, window="minute"),
                Limit(measure="calls", amount=10_000, window="calendar_month"),
                Limit(measure="concurrency", amount=5),
            ],
        ),
        (
            "Pro",
            "For applications that people rely on.",
            [
                Limit(measure="calls", amount=600, window="minute"),
                Limit(measure="tokens", amount=100_000, window="minute"),
                Limit(measure="cost", amount=500, currency="USD", window="calendar_month"),
            ],
        ),
        ("Unlimited", "For our own applications.", []),
    )
    for _, _, limits in offered:
        for limit in limits:
            limit.per = Limit.Per.SUBSCRIPTION
    return [
        access.save_plan(plan=Plan(name=name, description=text), limits=limits)
        for name, text, limits in offered
    ]


def _approve(application: Application, api: Api, plan: Plan, owner: User) -> None:
    row = access.request_subscription(application=application, api=api, plan=plan)
    access.approve_subscription(subscription=row, actor=owner, reason="One of our own.")
