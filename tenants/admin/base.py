"""What these pages have in common: pages that ask and then call a service.

Adding, removing and changing state are not plain saves, so each has a page that says
what will happen, asks for what is needed and does it on POST. What a service refuses is
shown at the field it names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin

Answers = dict[str, Any]
Run = Callable[[Answers], HttpResponse]


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: an empty POST counts, a GET never does."""
    return request.POST if request.method == "POST" else None


class ConsoleAdmin(ModelAdmin):
    """A model's pages, where an object that is not this person's to see is a plain 404."""

    list_per_page = 50
    list_filter_submit = True

    class Media:
        js = ["tenants/console.js"]

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: object, object_id: str
    ) -> NoReturn:
        raise Http404

    def object_or_404(self, request: HttpRequest, object_id: object) -> Any:
        obj = self.get_object(request, str(object_id))
        if obj is None:
            raise Http404
        return obj

    def url(self, page: str, obj: Model | None = None) -> str:
        """Of this model's page, such as ``changelist`` or ``change``."""
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=[obj.pk] if obj else [])

    def done(
        self, request: HttpRequest, obj: Model, text: str, page: str = "change"
    ) -> HttpResponse:
        """Logs what was done, says it, and goes on to the object's page."""
        if page == "change":
            self.log_change(request, obj, text)
        messages.success(request, text)
        return HttpResponseRedirect(self.url(page, obj if page == "change" else None))

    def ask(
        self,
        request: HttpRequest,
        form: forms.Form,
        run: Run,
        *,
        title: str,
        submit: str,
        text: str = "",
        danger: bool = False,
        obj: Model | None = None,
    ) -> HttpResponse:
        """Shows the form; once it is valid, ``run(answers)`` gives the response.

        All that ``run`` writes is one transaction, undone if it raises ValidationError.
        """
        if form.is_bound and form.is_valid():
            try:
                with transaction.atomic():
                    return run(form.cleaned_data)
            except ValidationError as error:
                _show(form, error)
        return self._page(
            request,
            "admin/tenants/form.html",
            title=title,
            form=form,
            submit_label=submit,
            text=text,
            danger=danger,
            original=obj,
            back=self.url("change", obj) if obj else self.url("changelist"),
        )

    def show_once(
        self,
        request: HttpRequest,
        *,
        title: str,
        text: str,
        secrets: list[tuple[str, str]],
        after: str,
        **context: Any,
    ) -> HttpResponse:
        """The answer to a POST that made a secret. Nothing of it is stored to show it again."""
        return self._page(
            request,
            "admin/tenants/shown_once.html",
            title=title,
            text=text,
            secrets=secrets,
            after=after,
            **context,
        )

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        request.current_app = self.admin_site.name
        page = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            **context,
        }
        return TemplateResponse(request, template, page)


def _show(form: forms.Form, error: ValidationError) -> None:
    """Puts a refusal at the fields it names; what the form has no field for, at the top."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for field, errors in error.error_dict.items():
        form.add_error(field if field in form.fields else None, errors)
