"""What the catalogue's pages have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminExpandableTextareaWidget

from catalog.admin.deeds import DeedsMixin, add_refusal
from catalog.publish import Outcome
from catalog.selectors import latest_publication
from catalog.services import publishing, rows


class CatalogForm(forms.ModelForm):
    """Shows at its fields what a service refused while saving (see ``CatalogAdmin``)."""

    refusal: ValidationError | None = None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.refusal is not None:
            add_refusal(self, self.refusal)
        return self.cleaned_data if cleaned is None else cleaned


class CatalogList(ChangeList):
    """Speaks of results only where something was searched or filtered."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class CatalogAdmin(DeedsMixin, ModelAdmin):
    """Saves through services where the model has one, and publishes what changed.

    A service may still refuse what the form let through, such as the last free place that
    somebody else took meanwhile. Saving is then undone and the form shown again with the
    reason at its field.
    """

    form = CatalogForm
    formfield_overrides = {models.TextField: {"widget": UnfoldAdminExpandableTextareaWidget}}
    show_full_result_count = False
    list_per_page = 50
    warn_unsaved_form = True
    list_filter_submit = True
    one_at_a_time = False
    """Adding one ends on a page that must be seen, so there is nothing but “Save”."""
    change_form_outer_before_template = "admin/catalog/panel.html"

    class Media:
        css = {"all": ["catalog/console.css"]}
        js = ["catalog/console.js"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CatalogList

    def panel(self, request: HttpRequest, obj: Model) -> dict[str, Any]:
        """What stands above the form: ``facts``, ``deeds`` and a ``template`` for more."""
        return {"deeds": self.deed_buttons(request, obj)}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = dict(extra_context or {})
        if self.one_at_a_time and object_id is None:
            context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        obj = self.get_object(request, object_id) if object_id else None
        if obj is not None and self.has_view_or_change_permission(request, obj):
            context["panel"] = self.panel(request, obj)
        with self.telling(request):
            try:
                return super().changeform_view(request, object_id, form_url, context)
            except ValidationError as error:
                request.refusal = error
                return super().changeform_view(request, object_id, form_url, context)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form)(form.__name__, (form,), {"refusal": getattr(request, "refusal", None)})

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        rows.save(row=obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        publishing.changed()

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        rows.delete(row=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet) -> None:
        with transaction.atomic():
            for obj in queryset:
                self.delete_model(request, obj)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict | None = None
    ) -> HttpResponse:
        with self.telling(request):
            return super().delete_view(request, object_id, extra_context)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict | None = None
    ) -> HttpResponse:
        with self.telling(request):
            return super().changelist_view(request, extra_context)

    @contextmanager
    def telling(self, request: HttpRequest) -> Iterator[list[Outcome]]:
        with tell(request) as outcomes:
            yield outcomes


@contextmanager
def tell(request: HttpRequest) -> Iterator[list[Outcome]]:
    """Warns of what was saved inside the block and could not be put into effect."""
    with publishing.watch() as outcomes:
        yield outcomes
    if not outcomes or outcomes[-1].in_effect:
        return
    last = latest_publication()
    where = ""
    if last is not None:
        url = reverse("admin:catalog_publication_change", args=[last.pk])
        where = format_html('<a href="{}" class="underline">Open the publication</a>', url)
    messages.warning(request, format_html("{} {}", outcomes[-1].message, where))


def unwrapped(field: forms.Field | None) -> forms.Field | None:
    """A field without the buttons to add and change what it refers to."""
    if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
        field.widget = field.widget.widget
    return field


def in_words(fieldsets: Any, words: Mapping[str, str]) -> list[tuple[str | None, dict[str, Any]]]:
    """The fieldsets with other fields in place of those that are no words, for who may not write:
    ``words`` are their names by those of what they take the place of."""

    def told(field: Any) -> Any:
        return tuple(map(told, field)) if isinstance(field, tuple) else words.get(field, field)

    return [
        (title, {**options, "fields": [told(field) for field in options["fields"]]})
        for title, options in fieldsets
    ]


class PartAdmin(CatalogAdmin):
    """A page of what belongs to a ``parent`` (a field), and is reached from the parent's page."""

    parent: str
    listed_at = "admin:catalog_aimodel_changelist"

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Not in the menu."""
        return {}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict | None = None
    ) -> HttpResponse:
        return redirect(self.listed_at)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One without a parent cannot be added."""
        if object_id is None and self.has_add_permission(request) and not self._given(request):
            return redirect(self.listed_at)
        context = {"show_save_and_add_another": False, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def _given(self, request: HttpRequest) -> bool:
        if request.method == "POST":
            return True
        model = self.model._meta.get_field(self.parent).related_model
        try:
            return model.objects.filter(pk=request.GET.get(self.parent)).exists()
        except ValidationError:
            return False


def become(obj: Model, saved: Model) -> None:
    """Makes the form's object the one that a service made from it."""
    obj.__dict__.update(saved.__dict__)


class CatalogInline(TabularInline):
    """Rows of a parent. Empty ones appear only on request, so they are never saved by mistake."""

    extra = 0
    hide_title = True
    template_before = "admin/catalog/inline_help.html"
    help = ""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Without the menu beside a choice, which leaves no room for the choice itself."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        return unwrapped(field)
