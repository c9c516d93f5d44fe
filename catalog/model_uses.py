"""What refers to a model, and so keeps it from being deleted: whatever names it would otherwise do
something else without a word, like a budget that refuses calls in place of dropping to it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import ProtectedError, QuerySet

from catalog.models import AIModel, Limit, PromptVersion, RoutingRule
from catalog.models.base import Row
from catalog.models.limits import PLACES


@dataclass(frozen=True)
class Use:
    """``str``: like “routing rule “long” of fast (asks it)”."""

    row: Row
    name: str
    how: str

    def __str__(self) -> str:
        return f"{self.name} ({self.how})"


class ModelInUse(ProtectedError):
    def __init__(self, uses: list[Use]) -> None:
        super().__init__("The model is still used.", {use.row for use in uses})
        self.told = [str(use) for use in uses]


def uses(model: AIModel) -> list[Use]:
    """All but its own, which are deleted with it."""
    others = AIModel.objects.exclude(pk=model.pk)
    asking = RoutingRule.objects.filter(target=model)
    versions = PromptVersion.objects.filter(model=model).select_related("prompt")
    limits = Limit.objects.filter(fallback=model).select_related(*PLACES)
    return [
        *(Use(row, _rule(row), "asks it") for row in _others(asking, model)),
        *(
            Use(row, _rule(row), "compares meanings by it")
            for row in _others(comparing(model.name), model)
        ),
        *(Use(row, f"prompt “{row}”", "asks it") for row in versions),
        *(Use(row, _limit(row), "drops to it") for row in limits),
        *(
            Use(row, f"AI model “{row}”", "falls back to it")
            for row in others.filter(fallbacks__contains=[model.pk])
        ),
        *(
            Use(row, f"AI model “{row}”", "is compared with it")
            for row in others.filter(compare_with=model)
        ),
    ]


def comparing(name: str) -> QuerySet[RoutingRule]:
    """The rules that compare meanings by the model of this name."""
    return RoutingRule.objects.filter(conditions__contains=[{"embedding_model": name}])


def _others(rules: QuerySet[RoutingRule], model: AIModel) -> QuerySet[RoutingRule]:
    return rules.exclude(model=model).select_related("model")


def _rule(row: RoutingRule) -> str:
    return f"routing rule “{row}” of {row.model}"


def _limit(row: Limit) -> str:
    of = getattr(row, row.place) if row.place else None
    where = f"{of._meta.verbose_name} “{of}”" if of else "the whole tenant"
    return f"limit “{row}” on {where}"
