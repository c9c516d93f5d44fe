"""Providers' credentials and models."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError

from catalog.models import Deployment, ProviderCredential
from catalog.services import ai
from contract.secrets import Sealer, SealError, provider_context

SECRET = "sk-live-0123456789abcdef"


def test_a_credential_is_sealed_for_its_tenant(charlie_tenant, alice_tenant, provider):
    credential = ai.set_credential(provider=provider, secret=f" {SECRET}\n")
    sealed = bytes(ProviderCredential.objects.get().sealed)
    sealer = Sealer(settings.SECRET_KEY)
    assert SECRET.encode() not in sealed
    assert sealer.open(sealed, provider_context(str(alice_tenant.pk))) == SECRET
    assert credential.hint == "cdef"
    with pytest.raises(SealError):
        sealer.open(sealed, provider_context(str(charlie_tenant.pk)))


def test_a_new_credential_replaces_the_one_before(provider):
    ai.set_credential(provider=provider, secret=SECRET)
    ai.set_credential(provider=provider, secret="short")
    assert ProviderCredential.objects.get().hint == ""
    ai.clear_credential(provider=provider)
    ai.clear_credential(provider=provider)
    assert not ProviderCredential.objects.exists()


@pytest.mark.parametrize("secret", ["", "  ", "two\nlines", "schlüssel", "x" * 5000])
def test_what_cannot_be_a_credential_is_refused(provider, secret):
    with pytest.raises(ValidationError) as caught:
        ai.set_credential(provider=provider, secret=secret)
    assert set(caught.value.message_dict) == {"secret"}
    assert not secret.strip() or secret not in str(caught.value)


def test_a_model_is_offered_through_ai_apis_only(model, api):
    with pytest.raises(ValidationError, match="Orders is not an API for AI models"):
        ai.save_model(model=model, apis=[api])


def test_a_model_can_do_something(model):
    for abilities in ([], ["chat", "chat"], ["dancing"]):
        model.abilities = abilities
        with pytest.raises(ValidationError) as caught:
            ai.save_model(model=model)
        assert list(caught.value.message_dict) == ["abilities"]


@pytest.mark.parametrize("currency", ["usd", "U$D", "EU"])
def test_a_currency_is_three_capitals(model, provider, currency):
    deployments = [Deployment(provider=provider, provider_model="m", currency=currency)]
    with pytest.raises(ValidationError) as caught:
        ai.save_model(model=model, deployments=deployments)
    assert list(caught.value.message_dict) == ["deployments[0].currency"]


def test_prices_cannot_be_negative(model, provider):
    deployments = [Deployment(provider=provider, provider_model="m", input_price=-1)]
    with pytest.raises(ValidationError) as caught:
        ai.save_model(model=model, deployments=deployments)
    assert list(caught.value.message_dict) == ["deployments[0].input_price"]
