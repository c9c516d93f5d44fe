"""Deeds: what can be done with an object besides saving it, like publishing or approving.

A deed has a page of its own that says what will happen, asks for what is needed and does it
on POST; nothing changes on GET. Where scripts run, the page opens as a dialog over the
page at hand. Deeds that need no second thought may also be posted by a button at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme


class NoQuestions(forms.Form):
    """For deeds that need no more than a yes."""


@dataclass(frozen=True)
class Deed:
    """``run(admin, request, object, answers)`` returns what to tell the person who did it,
    or a response of its own; it may raise ValidationError. ``allowed`` decides by the object
    alone, ``permission`` (``change`` or ``delete``) by the role.
    """

    name: str
    label: str
    text: str
    run: Callable[[Any, HttpRequest, Any, dict[str, Any]], str | HttpResponse]
    allowed: Callable[[Any], bool] = lambda obj: True
    form: type[forms.Form] = NoQuestions
    icon: str = "bolt"
    permission: str = "change"
    direct: bool = False
    danger: bool = False


class DeedsMixin:
    """Gives a ModelAdmin its deeds: their addresses, pages and buttons."""

    deeds: tuple[Deed, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        return [
            path(
                f"<uuid:object_id>/{deed.name}/",
                self.admin_site.admin_view(self._deed_view(deed)),
                name=self._url_name(deed),
            )
            for deed in self.deeds
        ] + super().get_urls()

    def deed_buttons(self, request: HttpRequest, obj: Model) -> list[dict[str, Any]]:
        """The deeds that this person may do with this object now."""
        return [
            {"deed": deed, "url": self.deed_url(deed, obj)}
            for deed in self.deeds
            if self._may(request, deed, obj) and deed.allowed(obj)
        ]

    def deed_url(self, deed: Deed, obj: Model) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name(deed)}", args=[obj.pk])

    def _url_name(self, deed: Deed) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{deed.name.replace('-', '_')}"

    def _may(self, request: HttpRequest, deed: Deed, obj: Model) -> bool:
        return getattr(self, f"has_{deed.permission}_permission")(request, obj)

    def _deed_view(self, deed: Deed) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, object_id: UUID) -> HttpResponse:
            return self._do(request, deed, object_id)

        return view

    def _do(self, request: HttpRequest, deed: Deed, object_id: UUID) -> HttpResponse:
        obj = self.get_object(request, str(object_id))
        if obj is None:
            raise Http404
        if not self._may(request, deed, obj):
            raise PermissionDenied
        after = safe_next(request) or reverse(
            f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change",
            args=[obj.pk],
        )
        if not deed.allowed(obj):
            messages.warning(request, f"“{deed.label}” is no longer possible for {obj}.")
            return HttpResponseRedirect(after)
        form = deed.form(request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            try:
                with self.telling(request):
                    outcome = deed.run(self, request, obj, form.cleaned_data)
            except ValidationError as error:
                add_refusal(form, error)
            else:
                self.log_change(request, obj, f"{deed.label}.")
                if isinstance(outcome, HttpResponse):
                    return outcome
                messages.success(request, outcome)
                return HttpResponseRedirect(after)
        return self._deed_page(request, deed, obj, form, after)

    def _deed_page(
        self, request: HttpRequest, deed: Deed, obj: Model, form: forms.Form, after: str
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "title": f"{deed.label}: {obj}",
            "deed": deed,
            "form": form,
            "after": after,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/catalog/deed.html", context)


def add_refusal(form: forms.Form, error: ValidationError) -> None:
    """Put a service's refusal at the fields it names, of a row at its list; where the form has
    none, at the top."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for name, errors in error.error_dict.items():
        field = name.partition("[")[0]
        form.add_error(field if field in form.fields else None, errors)


def safe_next(request: HttpRequest) -> str:
    """Where the request asks to go afterwards, if that is on this host."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe else ""
