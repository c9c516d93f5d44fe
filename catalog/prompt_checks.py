"""What a prompt version must be like before it is kept for good."""

from __future__ import annotations

import json
import re
from typing import Any

from django.core.exceptions import ValidationError

from catalog.models import AIModel
from contract.templates import TemplateError, placeholders

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 100
MAX_TEMPLATE = 100_000
"""Characters."""
MAX_VALUE = 1_000_000
"""Characters that a variable may allow."""

# Set by the gateway, or by the caller for each call.
_OWN_PARAMETERS = {"model", "messages", "stream", "stream_options", "n"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")

Rows = list[dict[str, Any]]


def check_version(
    model: AIModel, messages: Rows, variables: Rows, parameters: dict[str, Any]
) -> tuple[Rows, Rows]:
    """Messages and variables with every field in place.

    Raises ValidationError with the problems of all fields at once.
    """
    errors: dict[str, list[ValidationError]] = {}
    if AIModel.Ability.CHAT not in model.abilities:
        message = f"{model} cannot chat: choose another model."
        errors["model"] = [ValidationError(message, code="no_chat")]
    used, problems = _used_names(messages)
    if problems:
        errors["messages"] = problems
    variables, problems = _variables(variables)
    names = {variable["name"] for variable in variables}
    if "messages" not in errors and not problems:
        problems = _unused(names - used)
        if unknown := _unknown(used - names):
            errors["messages"] = unknown
    if problems:
        errors["variables"] = problems
    if problems := _parameters(parameters):
        errors["parameters"] = problems
    if errors:
        raise ValidationError(errors)
    return [{"role": m["role"], "template": m["template"]} for m in messages], variables


def _unknown(names: set[str]) -> list[ValidationError]:
    return [
        ValidationError(
            f"{{{{ {name} }}}} is not among the variables: add it there, or take it out.",
            code="unknown_variable",
        )
        for name in sorted(names)
    ]


def _unused(names: set[str]) -> list[ValidationError]:
    return [
        ValidationError(
            f"{name} is not used in any message: use {{{{ {name} }}}}, or take it out.",
            code="unused_variable",
        )
        for name in sorted(names)
    ]


def _used_names(messages: Any) -> tuple[set[str], list[ValidationError]]:
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        text = f"Give 1 to {MAX_MESSAGES} messages, each with a role and a template."
        return set(), [ValidationError(text, code="invalid")]
    used: set[str] = set()
    problems = []
    for number, message in enumerate(messages, start=1):
        try:
            used.update(_placeholders(message))
        except TemplateError as error:
            problems.append(ValidationError(f"Message {number}: {error}", code="template"))
        except ValidationError as error:
            problems.append(ValidationError(f"Message {number}: {error.message}", code="invalid"))
    return used, problems


def _placeholders(message: Any) -> tuple[str, ...]:
    if not isinstance(message, dict) or set(message) != {"role", "template"}:
        raise ValidationError("it needs a role and a template, and nothing else.")
    if message["role"] not in ROLES:
        raise ValidationError(f"the role must be one of {', '.join(ROLES)}.")
    template = message["template"]
    if not isinstance(template, str) or not template.strip() or len(template) > MAX_TEMPLATE:
        raise ValidationError(f"the template must be text of 1 to {MAX_TEMPLATE:,} characters.")
    return placeholders(template)


def _variables(variables: Any) -> tuple[Rows, list[ValidationError]]:
    if not isinstance(variables, list) or len(variables) > MAX_MESSAGES:
        text = f"Give a list of at most {MAX_MESSAGES} variables."
        return [], [ValidationError(text, code="invalid")]
    checked: Rows = []
    problems = []
    for number, variable in enumerate(variables, start=1):
        try:
            checked.append(_variable(variable))
        except ValidationError as error:
            problems.append(ValidationError(f"Variable {number}: {error.message}", code="invalid"))
    names = [variable["name"] for variable in checked]
    if len(names) != len(set(names)):
        problems.append(ValidationError("A name stands twice.", code="duplicate"))
    return checked, problems


def _variable(variable: Any) -> dict[str, Any]:
    row = {"required": True, "default": "", "max_length": 20_000}
    if not isinstance(variable, dict) or not set(variable) <= {"name", *row}:
        raise ValidationError("it has a name and may have required, default and max_length.")
    row |= variable
    name, limit = row.get("name"), row["max_length"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValidationError(
            "its name must be letters, digits and underscores, not a digit first, at most 60."
        )
    if not isinstance(row["required"], bool) or not isinstance(row["default"], str):
        raise ValidationError("required is true or false, and default is text.")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_VALUE:
        raise ValidationError(f"max_length is a number from 1 to {MAX_VALUE:,}.")
    if row["required"] and row["default"]:
        raise ValidationError("a required variable has no use for a default.")
    if len(row["default"]) > limit:
        raise ValidationError("the default is longer than max_length.")
    return row


def _parameters(parameters: Any) -> list[ValidationError]:
    if not isinstance(parameters, dict):
        text = 'Give an object of settings for the model, like {"temperature": 0}.'
        return [ValidationError(text, code="invalid")]
    own = sorted(_OWN_PARAMETERS & set(parameters))
    if own:
        text = f"{', '.join(own)} cannot be set here: the gateway sets it."
        return [ValidationError(text, code="reserved")]
    if len(json.dumps(parameters)) > MAX_TEMPLATE:
        return [ValidationError("These parameters are too long.", code="too_long")]
    return []
