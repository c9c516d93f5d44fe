"""How OpenAPI describes the usage endpoints."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

_PROBLEMS = {
    "400": "A parameter is not as it must be, or figures for this range are not kept so finely.",
    "401": "No token or key, or one that is not known.",
    "403": "An application's key asks for the usage of another application.",
    "404": "There is no such call in this tenant, or the application may not see it.",
}
# The shape of all problems of this API; the catalogue's endpoints define it.
CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class UsageSchema(AutoSchema):
    """Adds the problems, and a summary from the view's name."""

    def get_summary(self) -> str | None:
        return SUMMARIES[type(self.view).__name__]

    def get_operation_id(self) -> str:
        return f"usage_{type(self.view).__name__.removesuffix('View').lower()}"

    def get_filter_backends(self) -> list[Any]:
        return []

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            for code, text in _PROBLEMS.items():
                if code != "404" or "{" in self.path:
                    operation["responses"][code] = {"description": text, "content": CONTENT}
        return operation


SUMMARIES = {
    "ModelsView": "Show models and deployments: health and figures",
    "TotalsView": "Sum up usage",
    "TopView": "List the largest groups",
    "SeriesView": "Show usage over time",
    "RecordsView": "List calls",
    "RecordView": "Show one call",
    "ExportView": "Download calls as CSV",
}
