"""Forms of models, deployments and rules."""

from __future__ import annotations

from typing import Any

from catalog.models import AIModel
from tests.catalog_admin.test_admin_forms import posted, rows


def model_form(model: AIModel, *fallbacks: Any, **fields: Any) -> dict[str, Any]:
    form = posted(model, regions="", apis=[str(api.pk) for api in model.apis.all()]) | fields
    form.pop("fallbacks")
    form |= {f"fallbacks-{n}-model": str(pk) for n, pk in enumerate(fallbacks)}
    return form | deployment_rows(model)


def deployment_rows(model: AIModel, **fields: Any) -> dict[str, Any]:
    forms = []
    for row in model.deployments.all():
        given = {"id": row.pk, "model": model.pk, "provider": row.provider_id, "enabled": "on"}
        given |= {"provider_model": row.provider_model, "weight": row.weight}
        given |= {"input_price": row.input_price or "", "currency": row.currency}
        forms.append(given | fields)
    return rows("deployments", *forms, initial=len(forms))


def of_model(told: Any, name: str) -> Any:
    return next(row for row in told.models if row.name == name)
