"""What rules, fallbacks and regions must be like before a model is saved with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from catalog import named_applications
from catalog.models import AIModel, Deployment, RoutingRule
from contract.presets import preset_of
from contract.routing import EMBEDDING_WIRE_FORMATS, LONGEST_EXAMPLE, MOST_EXAMPLES

MOST_FALLBACKS = 7
"""The gateway comes to eight models in one call, this one being the first."""
MOST_RULES = 100
MOST_CONDITIONS = 10
MOST_VALUES, LONGEST_VALUE = MOST_EXAMPLES, LONGEST_EXAMPLE
"""Characters: the gateway compares no more of a prompt with an example."""

LANGUAGES = (
    *("ar", "de", "el", "en", "es", "fr", "he", "hi", "it", "ja"),
    *("ko", "nl", "pl", "pt", "ru", "sv", "th", "tr", "zh"),
)
"""Those that the gateway can tell apart."""
CONTENTS = ("code", "math", "images", "audio", "files", "tools")

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_WORDS = ("is", "is_not", "contains")


@dataclass(frozen=True)
class Subject:
    """``values``: all that there are, where not everything may be said. ``number``: the most that
    its one value may be."""

    label: str
    operators: tuple[str, ...]
    name: str = ""
    values: tuple[str, ...] = ()
    number: int = 0


SUBJECTS = {
    "header": Subject("Header", _WORDS, name="header"),
    "metadata": Subject("Metadata", _WORDS, name="key"),
    "prompt_tokens": Subject("Length of the prompt", ("at_least", "at_most"), number=100_000_000),
    "complexity": Subject("Complexity", ("at_least", "at_most"), number=100),
    "language": Subject("Language", ("is", "is_not"), values=LANGUAGES),
    "content": Subject("Content", ("is", "is_not"), values=CONTENTS),
    "similarity": Subject("Likeness", ("like",)),
    "application": Subject("Application", _WORDS),
    "stream": Subject("Stream", ("is",), values=("true", "false")),
}
OPERATORS = {
    "is": "is",
    "is_not": "is not",
    "contains": "contains",
    "at_least": "is at least",
    "at_most": "is at most",
    "like": "is like",
}


def check_condition(given: Any) -> dict[str, Any]:
    """The condition with what its subject has, and no more; applications by their ids. Raises
    ValidationError by field."""
    if not isinstance(given, Mapping) or given.get("subject") not in SUBJECTS:
        raise _refused("subject", f"Choose what it looks at: {', '.join(SUBJECTS)}.")
    subject = SUBJECTS[given["subject"]]
    if given.get("operator") not in subject.operators:
        allowed = " or ".join(f"“{OPERATORS[one]}”" for one in subject.operators)
        message = f"{subject.label} takes {allowed} ({', '.join(subject.operators)})."
        raise _refused("operator", message)
    condition = {"subject": given["subject"], "operator": given["operator"]}
    name = str(given.get("name") or "").strip()
    if subject.name:
        condition["name"] = _name(subject, name)
    condition["values"] = _values(given["subject"], given["operator"], given.get("values"))
    if given["subject"] == "similarity":
        condition["least"] = _least(given.get("least", 50))
        if name := str(given.get("embedding_model") or "").strip():
            condition["embedding_model"] = _embedding_model(name)
    return condition


def _name(subject: Subject, name: str) -> str:
    if not name:
        raise _refused("name", f"Say which {subject.name}.")
    if subject.name == "header" and not _HEADER.fullmatch(name):
        raise _refused("name", "A header's name has letters, digits and hyphens, like X-Team.")
    if len(name) > 100:
        raise _refused("name", "Use at most 100 characters.")
    return name


def _values(name: str, operator: str, given: Any) -> list[str]:
    subject = SUBJECTS[name]
    listed = given if isinstance(given, (list, tuple)) else [given]
    values = list(dict.fromkeys(str(one).strip() for one in listed if str(one or "").strip()))
    if subject.number:
        if len(values) != 1 or not re.fullmatch(r"[0-9]{1,9}", values[0]):
            raise _refused("values", "Enter one whole number.")
        if int(values[0]) > subject.number:
            raise _refused("values", f"Enter a number up to {subject.number}.")
        return [str(int(values[0]))]
    if not values:
        raise _refused("values", "Enter at least one value.")
    if len(values) > MOST_VALUES:
        raise _refused("values", f"Enter at most {MOST_VALUES} values.")
    if any(len(one) > LONGEST_VALUE for one in values):
        raise _refused("values", f"A value has at most {LONGEST_VALUE} characters.")
    if subject.values:
        values = [one.lower() for one in values]
        if wrong := [one for one in values if one not in subject.values]:
            message = f"“{wrong[0]}” is not known: use {', '.join(subject.values)}."
            raise _refused("values", message)
    if name == "application" and operator != "contains":
        try:
            return named_applications.ids(values)
        except LookupError as error:
            raise _refused("values", f"There is no application named “{error.args[0]}”.") from None
    return values


def _least(given: Any) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", str(given)) or int(given) > 100:
        raise _refused("least", "Enter how much alike, from 0 to 100.")
    return int(given)


def _embedding_model(name: str) -> str:
    """Raises ValidationError where it is none of the tenant's, or none that can be read."""
    model = AIModel.objects.filter(name=name).first()
    if model is None:
        raise _refused("embedding_model", f"There is no model named “{name[:100]}”.", "unknown")
    if "embeddings" not in model.abilities:
        raise _refused("embedding_model", f"{name} is not for embeddings: choose one that is.")
    presets = model.deployments.values_list("provider__preset", flat=True)
    if {preset_of(one).wire_format for one in presets}.isdisjoint(EMBEDDING_WIRE_FORMATS):
        message = (
            f"None of the providers of {name} embeds in a format that the gateway reads: OpenAI's, "
            "Gemini's or Cohere's."
        )
        raise _refused("embedding_model", message, "unreadable")
    return name


def _refused(field: str, message: str, code: str = "invalid") -> ValidationError:
    return ValidationError({field: ValidationError(message, code=code)})


def check_rule(
    rule: RoutingRule, chosen: Collection[Deployment], ours: Collection[Deployment] | None = None
) -> None:
    """Leaves tidy conditions. ``chosen``: the deployments that it names; ``ours``: all that its
    model has, None where they need not be looked at. Raises ValidationError by field, with keys
    like ``conditions[1].values``."""
    errors: dict[str, Any] = {}
    given, tidy = rule.conditions, []
    if not isinstance(given, list):
        raise _refused("conditions", "Enter a list of conditions.")
    if len(given) > MOST_CONDITIONS:
        raise _refused("conditions", f"A rule has at most {MOST_CONDITIONS} conditions.")
    for position, condition in enumerate(given):
        try:
            tidy.append(check_condition(condition))
        except ValidationError as error:
            for field, problems in error.error_dict.items():
                errors[f"conditions[{position}].{field}"] = problems
    if bool(chosen) == (rule.target_id is not None):
        message = "Choose deployments, or another model to ask in place of this one: one of both."
        errors["deployments"] = ValidationError(message, code="one_of_both")
    elif ours is not None and (strange := [one for one in chosen if one not in ours]):
        message = f"“{strange[0]}” is not a deployment of this model."
        errors["deployments"] = ValidationError(message, code="not_ours")
    if errors:
        raise ValidationError(errors)
    rule.conditions = tidy


def check_regions(model: AIModel) -> None:
    """Leaves each once, without spaces around it."""
    regions = list(dict.fromkeys(one.strip() for one in model.regions if one.strip()))
    if any(len(one) > 40 for one in regions):
        raise _refused("regions", "A region's name has at most 40 characters.")
    model.regions = regions


def check_others(model: AIModel, targets: Iterable[UUID | None] | None = None) -> None:
    """That the model's fallbacks, and the models that its rules ask, can be asked after it.

    ``targets``: those of its rules, None for those it has. Raises ValidationError on
    ``fallbacks`` or ``rules``.
    """
    if targets is None:
        # By the id, which a model that the console is adding does not have yet.
        own = RoutingRule.objects.filter(model=model.pk)
        targets = own.values_list("target_id", flat=True)
    rules = [one for one in targets if one is not None]
    known = {row.pk: row for row in AIModel.objects.all()} | {model.pk: model}
    for field, ids in (("fallbacks", model.fallbacks), ("rules", rules)):
        for id_ in ids:
            if problem := _cannot_follow(model, known.get(id_), id_):
                raise _refused(field, problem, "not_askable")
    if len(set(model.fallbacks)) != len(model.fallbacks):
        raise _refused("fallbacks", "Name each model once.")
    if len(model.fallbacks) > MOST_FALLBACKS:
        raise _refused("fallbacks", f"Name at most {MOST_FALLBACKS} models.")
    if circle := _circle(model, known, rules):
        field = "fallbacks" if circle[1] in model.fallbacks else "rules"
        names = " → ".join(known[id_].name for id_ in circle)
        message = (
            f"{names} goes round in a circle, and no model is asked twice in a call: take one of "
            "these out, here or on the other model's page."
        )
        raise _refused(field, message, "circle")


def _cannot_follow(model: AIModel, other: AIModel | None, id_: UUID) -> str:
    if other is None:
        return f"There is no model with the id {id_}."
    if other.pk == model.pk:
        return "A model cannot stand in for itself: choose another one."
    if not set(model.abilities) & set(other.abilities):
        return f"{other.name} can do nothing of what this model can: choose another one."
    return ""


def _circle(
    model: AIModel, known: Mapping[UUID, AIModel], targets: Sequence[UUID]
) -> list[UUID] | None:
    """The way from the model through fallbacks and rules back to it."""
    rules = RoutingRule.objects.exclude(target=None).exclude(model=model.pk)
    after: dict[UUID, list[UUID]] = {row.pk: list(row.fallbacks) for row in known.values()}
    for source, target in rules.values_list("model_id", "target_id"):
        after[source].append(target)
    after[model.pk] = [*model.fallbacks, *targets]
    seen: set[UUID] = set()
    ways = [[model.pk]]
    while ways:
        way = ways.pop(0)
        for id_ in after.get(way[-1], ()):
            if id_ == model.pk:
                return [*way, id_]
            if id_ not in seen:
                seen.add(id_)
                ways.append([*way, id_])
    return None
