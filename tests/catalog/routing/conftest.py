"""A model whose provider needs no credential, so that gateways are told of it, and another."""

from __future__ import annotations

import pytest

from catalog.models import AIModel, Deployment
from catalog.services import ai


@pytest.fixture
def call(provider, call):
    provider.needs_credential = False
    provider.save()
    return call


@pytest.fixture
def path(model):
    return f"/api/models/{model.pk}/"


@pytest.fixture
def other(model, models_api, provider):
    """A second model, with a deployment of its own."""
    deployment = Deployment(provider=provider, provider_model="maker-2")
    row = AIModel(name="slow", abilities=["chat"])
    return ai.save_model(model=row, apis=[models_api], deployments=[deployment])
