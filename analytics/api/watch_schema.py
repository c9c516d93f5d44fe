"""How OpenAPI describes reports and alerts."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

from analytics.api.schema import CONTENT

_PROBLEMS = {
    "400": "The request cannot be understood, or a field is not as it must be.",
    "401": "No token, or one that is not known.",
    "403": "The member's role does not allow this.",
    "404": "There is no such thing in this tenant.",
    "409": "Somebody else changed it at the same moment.",
}
_SUMMARIES = {
    "list": "List {many}",
    "retrieve": "Show one {one}",
    "create": "Create one {one}",
    "update": "Replace one {one}",
    "partial_update": "Change one {one}",
    "destroy": "Delete one {one}",
    "csv": "Download one {one} as CSV",
    "test": "Send a test of one {one}",
}


class WatchSchema(AutoSchema):
    """Adds the problems and a summary, and names operations by what they do."""

    def get_summary(self) -> str | None:
        options = self.view.queryset.model._meta
        one, many = options.verbose_name, options.verbose_name_plural
        return _SUMMARIES[self.view.action].format(one=one, many=many)

    def get_operation_id(self) -> str:
        return f"usage_{self.view.queryset.model._meta.model_name}_{self.view.action}"

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            codes = {"401", "403"} | ({"404"} if "{" in self.path else set())
            codes |= {"400", "409"} if self.method != "GET" else set()
            for code in sorted(codes):
                described = {"description": _PROBLEMS[code], "content": CONTENT}
                operation["responses"].setdefault(code, described)
        return operation
