"""Limits inside the page of what they are set on."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from catalog.admin.base import CatalogForm, CatalogInline
from catalog.admin.deeds import add_refusal
from catalog.models import Limit
from catalog.services.limits import kind_of

_HELP = (
    "Calls, tokens or money per time, or calls at once. Seconds to 24 hours slide with the clock; "
    "calendar days and months begin at midnight in the tenant's time zone."
)


class LimitForm(CatalogForm):
    """``place`` fixes what the limits are set on, and with it what they can be counted for."""

    place: str | None = None

    class Meta:
        labels = {"measure": "Limit on", "window": "In any"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "amount" not in self.fields:
            return
        self.fields["amount"].widget.attrs |= {"step": "any", "min": "0"}
        if self.instance.amount is not None:
            self.initial["amount"] = f"{self.instance.amount.normalize():f}"
        self.fields["window"].choices = [("", "–"), *Limit.Window.choices]
        if self.place is not None:
            pers = Limit.PERS[self.place]
            self.fields["per"].choices = [(per.value, per.label) for per in pers]
            self.fields["per"].initial = pers[0].value
        if self.instance._state.adding:
            self.fields["window"].initial = Limit.Window.MINUTE

    def clean_currency(self) -> str:
        return self.cleaned_data["currency"].upper()

    def _post_clean(self) -> None:
        """Also what the form itself leaves out, since it lacks the field of the place."""
        super()._post_clean()
        new = bool(self.place) and getattr(self.instance, f"{self.place}_id") is None
        if not self.errors and not new:
            try:
                self.instance.validate_constraints()
            except ValidationError as error:
                add_refusal(self, error)


class LimitFormSet(CatalogInline.formset):
    """Two limits of one kind are refused, at the later one."""

    def clean(self) -> None:
        super().clean()
        seen = set()
        for form in self.forms:
            if form.errors or not form.cleaned_data or form.cleaned_data.get("DELETE"):
                continue
            kind = kind_of(form.instance)
            if kind in seen:
                form.add_error("window", "There is such a limit already: change that one.")
            seen.add(kind)


class LimitInline(CatalogInline):
    model = Limit
    formset = LimitFormSet
    verbose_name = "limit"
    fields = ["measure", "amount", "currency", "window", "per", "mode", "then", "fallback"]
    autocomplete_fields = ["fallback"]


def limits_inline(place: str, without: str) -> type[LimitInline]:
    """The limits on one ``place`` (of ``limits.PLACES``); ``without`` says what none means."""
    form = type("PlaceLimitForm", (LimitForm,), {"place": place})
    options: dict[str, Any] = {"form": form, "fk_name": place, "help": f"{_HELP} {without}"}
    return type(f"{place.title()}LimitInline", (LimitInline,), options)
