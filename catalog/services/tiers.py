"""What the tenant's account tier allows, asked before a save."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import connection

from catalog.models import Api, Application
from contract.addresses import private_host
from tenants.models import AccountTier, Tenant

_MORE = "or ask the platform's operator for a larger account tier."


def tier() -> AccountTier:
    """The current tenant's tier."""
    return AccountTier.objects.get(tenants__schema_name=connection.schema_name)


def _locked_tier() -> AccountTier:
    """As ``tier``, with the tenant locked until the commit: two saves cannot share one place."""
    query = Tenant.objects.select_for_update(no_key=True, of=("self",)).select_related("tier")
    return query.get(schema_name=connection.schema_name).tier


def check_api_count(api: Api) -> None:
    """Raises ValidationError ``tier_limit`` where this API would be one too many."""
    limit = _locked_tier().max_apis
    others = Api.objects.exclude(pk=api.pk).exclude(state=Api.State.RETIRED)
    if limit is not None and others.count() >= limit:
        raise ValidationError(
            f"Your account tier allows {limit} APIs, and all are in use. Retire or delete one, "
            + _MORE,
            code="tier_limit",
        )


def check_application_count(application: Application) -> None:
    """Raises ValidationError ``tier_limit`` where this application would be one too many."""
    limit = _locked_tier().max_applications
    if limit is not None and Application.objects.exclude(pk=application.pk).count() >= limit:
        raise ValidationError(
            f"Your account tier allows {limit} applications, and all are in use. Delete one, "
            + _MORE,
            code="tier_limit",
        )


def check_ai() -> None:
    """Raises ValidationError ``tier_feature`` where the tier has no AI models and prompts."""
    if not tier().ai_gateway:
        raise ValidationError(
            "Your account tier has no AI models and prompts. Ask the platform's operator for "
            "a tier that has them.",
            code="tier_feature",
        )


def check_address(address: str, field: str) -> None:
    """Raises ValidationError ``private_address`` on ``field`` for what the tier keeps out.

    Only what can be told from the text: the gateway checks what a name resolves to.
    """
    reason = private_host(address)
    if reason and not tier().private_upstreams:
        raise ValidationError(
            {
                field: ValidationError(
                    f"{reason} Your account tier allows public addresses only: use one, or ask "
                    "the platform's operator for a tier with private upstream addresses.",
                    code="private_address",
                )
            }
        )
