"""AI providers with their credentials, models and deployments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from catalog.models import AIModel, Api, Deployment, Provider, ProviderCredential
from catalog.services import publishing, rows, tiers
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


@transaction.atomic
def save_model(
    *,
    model: AIModel,
    apis: Sequence[Api] | None = None,
    deployments: Sequence[Deployment] | None = None,
) -> AIModel:
    """Saves it; ``apis`` and ``deployments`` replace what it has, None leaves them."""
    tiers.check_ai()
    model.full_clean()
    check_model(model, apis or [])
    model.save()
    if apis is not None:
        model.apis.set(apis)
    if deployments is not None:
        for deployment in deployments:
            deployment.model = model
        rows.replace_children(
            name="deployments",
            existing=list(model.deployments.all()),
            wanted=deployments,
            key=lambda deployment: (deployment.provider_id, deployment.provider_model),
            check=check_deployment,
        )
    publishing.changed()
    return model


def check_model(model: AIModel, apis: Sequence[Api]) -> None:
    """Raises ValidationError for a model without abilities, or offered through other APIs."""
    if not model.abilities or len(set(model.abilities)) != len(model.abilities):
        message = "Choose what the model can do, each once."
        raise ValidationError({"abilities": ValidationError(message, code="invalid")})
    for api in apis:
        if api.kind != Api.Kind.AI:
            message = f"{api} is not an API for AI models."
            raise ValidationError({"apis": ValidationError(message, code="not_ai")})


def check_deployment(deployment: Deployment) -> None:
    """Raises ValidationError for a currency that is not three capital letters."""
    currency = deployment.currency
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        message = "Use the three capital letters of the currency, like USD."
        raise ValidationError({"currency": ValidationError(message, code="invalid")})
