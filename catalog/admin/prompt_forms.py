"""The editor of a prompt's version: messages, variables, parameters."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from catalog.admin.base import CatalogForm
from catalog.admin.deeds import add_refusal
from catalog.admin.widgets import Column, JSONArea, RowsField
from catalog.models import AIModel, Api, Prompt
from catalog.prompt_checks import ROLES, check_version
from catalog.services.apis import check_api
from catalog.validators import validate_listen_path

DEFAULT_LENGTH = 20_000

VERSION_FIELDS = ["model", "messages", "variables", "parameters", "notes"]


def _message(row: dict[str, Any]) -> dict[str, Any] | None:
    if not row["template"].strip():
        return None
    return {"role": row["role"], "template": row["template"].replace("\r\n", "\n")}


def _variable(row: dict[str, Any]) -> dict[str, Any] | None:
    """Rows without a name are left out, unless something else was entered."""
    if not row["name"].strip():
        if row["default"]:
            raise forms.ValidationError("give the variable a name.")
        return None
    try:
        length = int(row["max_length"] or DEFAULT_LENGTH)
    except ValueError:
        raise forms.ValidationError("the longest value must be a number of characters.") from None
    return {
        "name": row["name"].strip(),
        "required": row["required"],
        "default": "" if row["required"] else row["default"],
        "max_length": length,
    }


class VersionForm(forms.Form):
    """What a version is made of. Unknown and unused variables are told by the service."""

    model = forms.ModelChoiceField(
        queryset=AIModel.objects.none(),
        empty_label="Select a model",
        widget=UnfoldAdminSelectWidget,
    )
    messages = RowsField(
        [
            Column("role", "Role", "select", tuple((r, r) for r in ROLES), "user"),
            Column("template", "Text", "area", wide=True),
        ],
        "Add a message",
        _message,
        help_text="Write {{ name }} where a variable goes. Nothing else is replaced.",
    )
    variables = RowsField(
        [
            Column("name", "Name"),
            Column("required", "Required", "check", empty=True),
            Column("default", "Otherwise"),
            Column("max_length", "Longest, characters", "number", empty=DEFAULT_LENGTH),
        ],
        "Add a variable",
        _variable,
        tool="Take them from the messages",
        required=False,
        help_text="Callers send these as JSON. “Otherwise” stands in for one that is left out.",
    )
    parameters = forms.JSONField(
        required=False,
        initial=dict,
        widget=JSONArea,
        help_text='Sent to the model as they are, like {"temperature": 0}.',
    )
    notes = forms.CharField(
        label="What changed", max_length=300, required=False, widget=UnfoldAdminTextInputWidget
    )
    publish = forms.BooleanField(
        label="Publish at once",
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Otherwise it is kept, and answers nobody until you publish it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "model" in self.fields:
            self.fields["model"].queryset = AIModel.objects.filter(
                abilities__contains=[AIModel.Ability.CHAT]
            )

    def clean_parameters(self) -> dict[str, Any]:
        parameters = self.cleaned_data["parameters"]
        if parameters is None:
            return {}
        if not isinstance(parameters, dict):
            raise forms.ValidationError('Enter an object, like {"temperature": 0}.')
        return parameters

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        parts = [self.cleaned_data.get(name) for name in VERSION_FIELDS[:4]]
        if all(part is not None for part in parts):
            try:
                check_version(*parts)
            except ValidationError as error:
                add_refusal(self, error)
        return self.cleaned_data if cleaned is None else cleaned

    def version_data(self) -> dict[str, Any]:
        """The arguments of ``prompts.add_version``."""
        return {name: self.cleaned_data[name] for name in VERSION_FIELDS}


class PromptForm(CatalogForm):
    """An existing prompt: its name and where it is called."""

    listen_path = forms.CharField(
        max_length=200,
        validators=[validate_listen_path],
        widget=UnfoldAdminTextInputWidget,
        help_text="The prompt is called with POST at this path, like /prompts/sentiment.",
    )

    class Meta:
        model = Prompt
        fields = ["name", "description"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.api_id and "listen_path" in self.fields:
            self.fields["listen_path"].initial = self.instance.api.listen_path

    def _post_clean(self) -> None:
        super()._post_clean()
        if self.errors.keys() & {"name", "description", "listen_path"}:
            return
        api = self.instance.api if self.instance.api_id else Api(kind=Api.Kind.PROMPT)
        for name in ("name", "description", "listen_path"):
            setattr(api, name, self.cleaned_data[name])
        try:
            check_api(api)
        except ValidationError as error:
            add_refusal(self, error)


class NewPromptForm(VersionForm, PromptForm):
    """A prompt with its first version."""
