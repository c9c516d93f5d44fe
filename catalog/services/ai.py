"""AI providers with their credentials, models and deployments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet

from catalog.model_uses import ModelInUse, comparing, uses
from catalog.models import AIModel, Api, Deployment, Provider, ProviderCredential, RoutingRule
from catalog.price_checks import check_prices
from catalog.routing_checks import MOST_RULES, check_others, check_regions, check_rule
from catalog.services import publishing, rows, tiers
from catalog.services.prices import check_own_prices
from contract.presets import address_of, preset_of
from contract.secrets import Sealer, provider_context
from tenants.models import Tenant

_SETTING = re.compile(r"[A-Za-z0-9._-]{1,80}")


@transaction.atomic
def save_provider(*, provider: Provider) -> Provider:
    """Saves it, without its credential (see ``set_credential``). Without an address it gets that
    of its kind. Raises ValidationError by field."""
    tiers.check_ai()
    check_settings(provider)
    if not provider.base_url:
        provider.base_url = address_of(preset_of(provider.preset), provider.settings)
    if not provider.base_url:
        message = "This kind of provider has no address of its own: enter yours."
        raise ValidationError({"base_url": ValidationError(message, code="required")})
    provider.full_clean()
    tiers.check_address(provider.base_url, "base_url")
    return rows.save(row=provider)


def check_settings(provider: Provider) -> None:
    """Leaves what the provider's kind asks for, with its defaults. Raises ValidationError on
    ``settings`` where something is missing or cannot be part of an address."""
    preset, given = preset_of(provider.preset), provider.settings
    if not isinstance(given, dict):
        message = 'Enter an object, like {"region": "eu-central-1"}.'
        raise ValidationError({"settings": ValidationError(message, code="invalid")})
    known = {setting.name for setting in preset.settings}
    faults = [f"{preset.title} has no “{name}”." for name in given if name not in known]
    settings: dict[str, str] = {}
    for setting in preset.settings:
        value = str(given.get(setting.name) or setting.default).strip()
        if setting.required and not value:
            faults.append(f"{preset.title} needs its {setting.title.lower()}.")
        elif value and not _SETTING.fullmatch(value):
            faults.append(
                f"{setting.title} takes letters, digits, points, hyphens and underscores."
            )
        elif value:
            settings[setting.name] = value
    if faults:
        raise ValidationError({"settings": ValidationError(" ".join(faults), code="invalid")})
    provider.settings = settings


@transaction.atomic
def set_credential(*, provider: Provider, secret: str) -> ProviderCredential:
    """Seals and stores the provider's secret in place of the one before."""
    secret = secret.strip()
    preset = preset_of(provider.preset)
    if preset.wire_format == "vertex" and secret.startswith("{"):
        secret = _one_line(secret)
    if not secret or len(secret) > 4096 or not secret.isascii() or not secret.isprintable():
        raise ValidationError(
            {
                "secret": ValidationError(
                    f"Enter the {preset.credential} as the provider shows it: printable ASCII on "
                    "one line.",
                    code="invalid",
                )
            }
        )
    tenant_id = Tenant.objects.values_list("id", flat=True).get(schema_name=connection.schema_name)
    sealer = Sealer(",".join([settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]))
    credential, _ = ProviderCredential.objects.update_or_create(
        provider=provider,
        defaults={
            "sealed": sealer.seal(secret, provider_context(str(tenant_id))),
            # Four characters of a short secret would be too much of it.
            "hint": secret[-4:] if len(secret) >= 16 and secret[0] != "{" else "",
        },
    )
    publishing.changed()
    return credential


def _one_line(secret: str) -> str:
    """A service account's key, which Google saves as JSON over many lines."""
    try:
        return json.dumps(json.loads(secret))
    except ValueError:
        message = "This is not the JSON file of a service account's key: paste all of it."
        raise ValidationError({"secret": ValidationError(message, code="invalid")}) from None


@transaction.atomic
def clear_credential(*, provider: Provider) -> None:
    """Forgets the provider's secret. Does nothing where there is none."""
    ProviderCredential.objects.filter(provider=provider).delete()
    publishing.changed()


RuleGiven = tuple[RoutingRule, Sequence[Deployment]]
"""A rule, and the deployments that it names."""


@transaction.atomic
def save_model(
    *,
    model: AIModel,
    apis: Sequence[Api] | None = None,
    deployments: Sequence[Deployment] | None = None,
    rules: Sequence[RuleGiven] | None = None,
) -> AIModel:
    """Saves it; ``apis``, ``deployments`` and ``rules`` (in their order) replace what it has, None
    leaves them."""
    tiers.check_ai()
    model.full_clean()
    check_model(model, apis or [])
    check_others(model, None if rules is None else [rule.target_id for rule, _ in rules])
    _rename_in_rules(model)
    model.save()
    if apis is not None:
        model.apis.set(apis)
    if deployments is not None:
        rows.replace_children(
            model.deployments,
            deployments,
            name="deployments",
            key=lambda deployment: (deployment.provider_id, deployment.provider_model),
            check=check_deployment,
        )
    if rules is not None:
        _replace_rules(model, rules)
    check_rules_name_something(model)
    publishing.changed()
    return model


def _rename_in_rules(model: AIModel) -> None:
    """Conditions name the model that they compare meanings by."""
    before = AIModel.objects.filter(pk=model.pk).values_list("name", flat=True).first()
    if before is None or before == model.name:
        return
    for rule in comparing(before):
        for condition in rule.conditions:
            if condition.get("embedding_model") == before:
                condition["embedding_model"] = model.name
        rule.save()


def _replace_rules(model: AIModel, given: Sequence[RuleGiven]) -> None:
    if len(given) > MOST_RULES:
        message = f"A model has at most {MOST_RULES} rules."
        raise ValidationError({"rules": ValidationError(message, code="too_many")})
    ours = list(model.deployments.all())
    chosen = {id(rule): deployments for rule, deployments in given}
    for position, (rule, _) in enumerate(given):
        rule.position = position
    rows.replace_children(
        model.routing_rules,
        [rule for rule, _ in given],
        name="rules",
        key=lambda rule: rule.name,
        check=lambda rule: check_rule(rule, chosen[id(rule)], ours),
    )
    for rule, deployments in given:
        rule.deployments.set(deployments)


@transaction.atomic
def save_rule(*, rule: RoutingRule, deployments: Sequence[Deployment]) -> RoutingRule:
    """Saves one rule; a new one comes last. Raises ValidationError by field."""
    tiers.check_ai()
    others = _locked_rules(rule.model).exclude(pk=rule.pk)
    if rule._state.adding:
        if len(others) >= MOST_RULES:
            message = f"A model has at most {MOST_RULES} rules: delete one first."
            raise ValidationError({"name": ValidationError(message, code="too_many")})
        rule.position = max((other.position for other in others), default=-1) + 1
    rule.full_clean()
    check_rule_here(rule, deployments)
    rule.save()
    rule.deployments.set(deployments)
    publishing.changed()
    return rule


def check_rule_here(rule: RoutingRule, deployments: Sequence[Deployment]) -> None:
    """Raises ValidationError by field for a rule that its model cannot have."""
    others = RoutingRule.objects.filter(model=rule.model_id).exclude(pk=rule.pk)
    if rule.name in others.values_list("name", flat=True):
        message = "This model has a rule of this name: records tell rules by it. Choose another."
        raise ValidationError({"name": ValidationError(message, code="twice")})
    check_rule(rule, deployments, list(rule.model.deployments.all()))
    targets = [*others.values_list("target_id", flat=True), rule.target_id]
    try:
        check_others(rule.model, targets)
    except ValidationError as error:
        raise ValidationError({"target": next(iter(error.error_dict.values()))}) from None


@transaction.atomic
def move_rule(*, rule: RoutingRule, by: int) -> None:
    """Moves it so many places down its model's list, or up where ``by`` is negative."""
    order = list(_locked_rules(rule.model))
    at = order.index(rule)
    order.insert(max(0, at + by), order.pop(at))
    for position, one in enumerate(order):
        one.position = position
    RoutingRule.objects.bulk_update(order, ["position"])
    publishing.changed()


def _locked_rules(model: AIModel) -> QuerySet[RoutingRule]:
    """In order. Who holds the model's row is alone in changing them."""
    AIModel.objects.select_for_update().get(pk=model.pk)
    return RoutingRule.objects.filter(model=model)


@transaction.atomic
def save_deployment(*, deployment: Deployment) -> Deployment:
    """Saves one deployment of a model. Raises ValidationError by field."""
    tiers.check_ai()
    check_deployment(deployment)
    return rows.save(row=deployment)


@transaction.atomic
def delete_model(*, model: AIModel) -> None:
    """Deletes it with its deployments and rules. Raises ModelInUse where anything else names it."""
    if found := uses(model):
        raise ModelInUse(found)
    rows.delete(row=model)


def check_model(model: AIModel, apis: Sequence[Api]) -> None:
    """Raises ValidationError for a model without abilities, or offered through other APIs."""
    if not model.abilities or len(set(model.abilities)) != len(model.abilities):
        message = "Choose what the model can do, each once."
        raise ValidationError({"abilities": ValidationError(message, code="invalid")})
    for api in apis:
        if api.kind != Api.Kind.AI:
            message = f"{api} is not an API for AI models."
            raise ValidationError({"apis": ValidationError(message, code="not_ai")})
    check_regions(model)


def check_rules_name_something(model: AIModel) -> None:
    """Raises ValidationError where a rule has lost all deployments that it named, since it would
    then choose among all of them."""
    lost = RoutingRule.objects.filter(model=model, target=None, deployments=None).first()
    if lost is not None:
        message = (
            f"The rule “{lost}” names no other deployment than what you delete: change that rule "
            "first, or delete it."
        )
        raise ValidationError({"deployments": ValidationError(message, code="named_by_rule")})


def check_deployment(deployment: Deployment) -> None:
    """Raises ValidationError by field for prices that cannot be, or hold no longer, and for quirks
    of OpenAI's formats where the provider speaks another."""
    check_prices(deployment)
    preset = preset_of(deployment.provider.preset)
    if deployment.quirks and preset.wire_format not in ("openai", "azure"):
        message = f"{preset.title} is not spoken to in OpenAI's format."
        raise ValidationError({"quirks": ValidationError(message, code="invalid")})
    deployment.abilities = list(dict.fromkeys(deployment.abilities))
    deployment.region = deployment.region.strip()
    check_own_prices(deployment)
