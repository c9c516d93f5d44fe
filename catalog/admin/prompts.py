"""Prompts and their versions, which never change."""

from __future__ import annotations

import difflib
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import register
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display

from catalog.admin.addresses import api_address, api_curl_line
from catalog.admin.apis import STATE_LABELS
from catalog.admin.base import CatalogAdmin, become
from catalog.admin.cells import badge, moment, section
from catalog.admin.deeds import add_refusal
from catalog.admin.prompt_forms import VERSION_FIELDS, NewPromptForm, PromptForm, VersionForm
from catalog.models import Api, Prompt, PromptVersion
from catalog.services import prompts
from tenants.sites import tenant_site

SHOWN = 50


def as_text(version: PromptVersion) -> list[str]:
    """A version line by line, for reading and comparing."""
    lines = [f"Model: {version.model.name}"]
    for number, message in enumerate(version.messages, start=1):
        lines += ["", f"Message {number}, {message['role']}:", *message["template"].split("\n")]
    lines += ["", "Variables:"]
    for row in version.variables:
        need = "required" if row.get("required", True) else f"otherwise “{row.get('default', '')}”"
        lines.append(f"  {row['name']}, {need}, at most {row.get('max_length')} characters")
    lines += ["", "Parameters:"]
    lines += [f"  {name} = {value}" for name, value in sorted(version.parameters.items())]
    return lines


def changes(before: PromptVersion, after: PromptVersion) -> list[dict[str, str]]:
    """Lines with a ``sign`` of ``+`` (new), ``-`` (gone) or a space (kept)."""
    lines = difflib.ndiff(as_text(before), as_text(after))
    return [{"sign": line[0], "text": line[2:]} for line in lines if line[0] != "?"]


@register(Prompt, site=tenant_site)
class PromptAdmin(CatalogAdmin):
    form = PromptForm
    list_display = ["name", "state", "listen_path", "published_as", "version_count", "updated_at"]
    list_filter = ["api__state"]
    search_fields = ["name", "description", "api__listen_path"]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        query = super().get_queryset(request).select_related("api", "published_version")
        return query.annotate(versions_made=Count("versions"))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        if obj is None:
            kw["form"] = NewPromptForm
        elif not self.has_change_permission(request, obj):
            kw["fields"] = ["name", "description"]
        return super().get_form(request, obj, change, **kw)

    def get_fieldsets(self, request: HttpRequest, obj: Prompt | None = None) -> Any:
        if obj is not None:
            shown = ["name", "description"]
            if self.has_change_permission(request, obj):
                shown.insert(1, "listen_path")
            return [(None, {"fields": shown})]
        return [
            (None, {"fields": ["name", "listen_path", "description"]}),
            ("First version", {"fields": [*VERSION_FIELDS[:-1], "publish"]}),
        ]

    def get_urls(self) -> list[URLPattern]:
        def at(route: str, view: Any, name: str) -> URLPattern:
            return path(
                f"<uuid:object_id>/versions/{route}",
                self.admin_site.admin_view(view),
                name=f"catalog_prompt_{name}",
            )

        return [
            at("add/", self.add_version, "add_version"),
            at("<int:number>/", self.show_version, "version"),
            at("<int:number>/publish/", self.publish_version, "publish_version"),
            *super().get_urls(),
        ]

    def panel(self, request: HttpRequest, obj: Prompt) -> dict[str, Any]:
        state = obj.api.get_state_display()
        published = obj.api.state == Api.State.PUBLISHED
        facts = [{"label": "Called at", "value": api_address(request, obj.api), "copyable": True}]
        if obj.published_version:
            line = api_curl_line(request, obj.api)
            facts.append({"label": "Try it", "value": line, "copyable": True})
        return {
            **super().panel(request, obj),
            "state": (state, STATE_LABELS.get(state, "")),
            "note": "" if published else "Publish a version below to have it answered.",
            "facts": facts,
            "links": [
                {
                    "label": "Keys, limits and retiring: its API",
                    "url": reverse("admin:catalog_api_change", args=[obj.api_id]),
                }
            ],
            "sections": [self._versions(request, obj)],
        }

    def _versions(self, request: HttpRequest, obj: Prompt) -> dict[str, Any]:
        writes = self.has_change_permission(request, obj)
        rows = []
        for version in obj.versions.select_related("model", "created_by")[:SHOWN]:
            url = reverse("admin:catalog_prompt_version", args=[obj.pk, version.number])
            published = version.pk == obj.published_version_id
            rows.append(
                [
                    format_html(
                        '<a class="console-link" href="{}">Version {}</a>', url, version.number
                    ),
                    badge("Published", "success") if published else "–",
                    version.model.name,
                    version.notes or "–",
                    version.created_by or "–",
                    moment(version.created_at),
                    self._publish_button(request, obj, version) if writes and not published else "",
                ]
            )
        add = reverse("admin:catalog_prompt_add_version", args=[obj.pk])
        return section(
            "Versions",
            ["Version", "State", "Model", "What changed", "By", "Made", ""],
            rows,
            empty="No version yet, so there is nothing to answer with.",
            add=("New version", add) if writes else None,
        )

    def _publish_button(self, request: HttpRequest, obj: Prompt, version: PromptVersion) -> str:
        url = reverse("admin:catalog_prompt_publish_version", args=[obj.pk, version.number])
        return format_html(
            '<button form="direct-deed" formaction="{}" class="console-button">Publish</button>',
            url,
        )

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Prompt, form: Any, change: bool) -> None:
        data = form.cleaned_data
        if change:
            obj.api.listen_path = data["listen_path"]
            prompts.save_prompt(prompt=obj)
            return
        prompt = prompts.create_prompt(
            name=data["name"], listen_path=data["listen_path"], description=data["description"]
        )
        version = prompts.add_version(
            prompt=prompt, actor=request.user, **{"notes": "", **form.version_data()}
        )
        if data["publish"]:
            prompts.publish_version(version=version)
        become(obj, prompt)

    def delete_model(self, request: HttpRequest, obj: Prompt) -> None:
        prompts.delete_prompt(prompt=obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple:
        """A prompt takes its API along, and with it the subscriptions to that."""
        apis = [prompt.api for prompt in objs]
        named, counts, lacking, protected = super().get_deleted_objects(objs, request)
        if not apis:
            return named, counts, lacking, protected
        # That they cannot go alone, and are protected by the prompt, is beside the point here.
        also, more, _, _ = super().get_deleted_objects(apis, request)
        return named + also, {**counts, **more}, lacking, protected

    # Versions

    def _prompt(self, request: HttpRequest, object_id: UUID, *, write: bool) -> Prompt:
        """Raises Http404 or PermissionDenied."""
        prompt = self.get_object(request, str(object_id))
        if prompt is None:
            raise Http404
        allowed = self.has_change_permission if write else self.has_view_permission
        if not allowed(request, prompt):
            raise PermissionDenied
        return prompt

    def _version(self, prompt: Prompt, number: int) -> PromptVersion:
        versions = prompt.versions.select_related("model", "created_by")
        version = versions.filter(number=number).first()
        if version is None:
            raise Http404
        return version

    def _page(self, request: HttpRequest, template: str, prompt: Prompt, **context: Any) -> Any:
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": prompt,
            "prompt": prompt,
            "after": self._change_url(prompt),
            "media": self.media,
            **context,
        }
        return TemplateResponse(request, template, context)

    def _change_url(self, prompt: Prompt) -> str:
        return reverse("admin:catalog_prompt_change", args=[prompt.pk])

    def add_version(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The editor, filled with the latest version, or with ``?from=<number>``."""
        prompt = self._prompt(request, object_id, write=True)
        if request.method != "POST":
            form = VersionForm(initial=self._initial(prompt, request.GET.get("from", "")))
        else:
            form = VersionForm(request.POST)
            if form.is_valid() and self._save_version(request, prompt, form):
                return HttpResponseRedirect(self._change_url(prompt))
        title = f"New version of {prompt}"
        return self._page(
            request, "admin/catalog/prompt_editor.html", prompt, form=form, title=title
        )

    def _initial(self, prompt: Prompt, number: str) -> dict[str, Any]:
        versions = prompt.versions.all()
        source = versions.filter(number=number).first() if number.isdigit() else versions.first()
        if source is None:
            return {}
        fields = ["messages", "variables", "parameters"]
        return {"model": source.model_id, **{name: getattr(source, name) for name in fields}}

    def _save_version(self, request: HttpRequest, prompt: Prompt, form: forms.Form) -> bool:
        publish = form.cleaned_data["publish"]
        try:
            with self.telling(request), transaction.atomic():
                version = prompts.add_version(
                    prompt=prompt, actor=request.user, **form.version_data()
                )
                if publish:
                    prompts.publish_version(version=version)
        except ValidationError as error:
            add_refusal(form, error)
            return False
        self.log_change(request, prompt, f"Version {version.number}.")
        end = "is published" if publish else "is kept, and not published yet"
        messages.success(request, f"Version {version.number} {end}.")
        return True

    def show_version(self, request: HttpRequest, object_id: UUID, number: int) -> HttpResponse:
        """A version as it is, and what it changed."""
        prompt = self._prompt(request, object_id, write=False)
        version = self._version(prompt, number)
        earlier = prompt.versions.filter(number__lt=number).select_related("model").first()
        return self._page(
            request,
            "admin/catalog/prompt_version.html",
            prompt,
            title=f"{prompt}, version {number}",
            version=version,
            earlier=earlier,
            lines=changes(earlier, version) if earlier else [],
            writes=self.has_change_permission(request, prompt),
            published=version.pk == prompt.published_version_id,
        )

    def publish_version(self, request: HttpRequest, object_id: UUID, number: int) -> HttpResponse:
        """On POST; a GET leads to the version, where the button is."""
        prompt = self._prompt(request, object_id, write=True)
        version = self._version(prompt, number)
        if request.method != "POST":
            url = reverse("admin:catalog_prompt_version", args=[prompt.pk, number])
            return HttpResponseRedirect(url)
        try:
            with self.telling(request):
                prompts.publish_version(version=version)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            self.log_change(request, prompt, f"Published version {number}.")
            messages.success(request, f"{prompt} answers with version {number} now.")
        return HttpResponseRedirect(self._change_url(prompt))

    @display(description="State", ordering="api__state", label=STATE_LABELS)
    def state(self, prompt: Prompt) -> str:
        return prompt.api.get_state_display()

    @display(description="Listen path", ordering="api__listen_path")
    def listen_path(self, prompt: Prompt) -> str:
        return prompt.api.listen_path

    @display(description="Published")
    def published_as(self, prompt: Prompt) -> str:
        version = prompt.published_version
        return f"version {version.number}" if version else "–"

    @display(description="Versions", ordering="versions_made")
    def version_count(self, prompt: Prompt) -> int:
        return prompt.versions_made
