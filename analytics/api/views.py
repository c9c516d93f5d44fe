"""The endpoints."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from analytics import queries
from analytics.api import examples, export
from analytics.api.answers import (
    RecordOut,
    RecordsOut,
    SeriesOut,
    TopOut,
    TotalsOut,
    told,
    told_group,
    told_record,
)
from analytics.api.callers import KeyAuthentication, MayReadUsage, confine
from analytics.api.parameters import (
    METRICS,
    Asked,
    PageAsked,
    RecordAsked,
    RecordsAsked,
    SeriesAsked,
    TopAsked,
)
from analytics.api.schema import UsageSchema
from analytics.names import names_in
from tenants.tokens import TokenAuthentication


class Unanswerable(APIException):
    """A ``QueryError`` as the API tells it."""

    status_code = 400


class UsageView(APIView):
    """A read of usage: its parameters are checked by ``asked_class``."""

    authentication_classes = [TokenAuthentication, KeyAuthentication, SessionAuthentication]
    permission_classes = [MayReadUsage]
    schema = UsageSchema()
    asked_class: type[Serializer] = Asked

    def asked(self) -> dict[str, Any]:
        """What was asked, checked and confined to what the caller may see."""
        given = self.asked_class(data=self.request.query_params.dict())
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        if "filters" in asked:
            asked["filters"] = confine(self.request, asked["filters"])
        return asked

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, queries.QueryError):
            error = Unanswerable(str(error), error.code)
        return super().handle_exception(error)


def told_range(rng: queries.Range) -> dict[str, Any]:
    return {"start": rng.start, "end": rng.end}


class TotalsView(UsageView):
    """Sums over a range: calls, errors, latency, tokens, cost and bytes."""

    @extend_schema(parameters=[Asked], responses=TotalsOut, examples=[examples.TOTALS])
    def get(self, request: Request) -> Response:
        """Calls, errors, latency, tokens, cost and bytes over a range."""
        asked = self.asked()
        found = queries.totals(request.tenant.pk, asked["asked"], asked["filters"])
        return Response({**told_range(queries.cover(asked["asked"])), **told(found, METRICS)})


class TopView(UsageView):
    asked_class = TopAsked

    @extend_schema(parameters=[TopAsked], responses=TopOut, examples=[examples.TOP])
    def get(self, request: Request) -> Response:
        """The APIs, applications, models and so on with the most calls, errors, cost or other."""
        asked = self.asked()
        groups = queries.grouped(
            request.tenant.pk,
            asked["asked"],
            asked["filters"],
            asked["by"],
            asked["order"],
            asked["limit"],
            asked["with_none"],
        )
        return Response(
            {
                **told_range(queries.cover(asked["asked"])),
                "by": asked["by"],
                "order": asked["order"],
                "results": [told_group(group) | told(group.totals, METRICS) for group in groups],
            }
        )


class SeriesView(UsageView):
    asked_class = SeriesAsked

    @extend_schema(parameters=[SeriesAsked], responses=SeriesOut, examples=[examples.SERIES])
    def get(self, request: Request) -> Response:
        """Metrics by minute, hour or day; with `by`, a series for each of the largest groups.

        Intervals are whole, also at the ends of the range, and there is a point for each.
        """
        asked = self.asked()
        rng, zone = asked["asked"], asked["time_zone"]
        interval = asked.get("interval") or queries.best_interval(rng)
        along = queries.axis(rng, interval, zone)
        return Response(
            {
                **told_range(along.covered),
                "interval": interval,
                "time_zone": zone.key,
                "metrics": asked["metrics"],
                "by": asked.get("by"),
                "series": self._series(asked, rng, interval),
            }
        )

    def _series(
        self, asked: dict[str, Any], rng: queries.Range, interval: str
    ) -> list[dict[str, Any]]:
        tenant_id, metrics = self.request.tenant.pk, asked["metrics"]
        zone = asked["time_zone"]
        if "by" not in asked:
            points = queries.series(tenant_id, rng, asked["filters"], interval, zone)
            found = [({"id": None, "name": None}, points)]
        else:
            groups = queries.grouped_series(
                tenant_id,
                rng,
                asked["filters"],
                interval,
                asked["by"],
                asked["order"],
                asked["limit"],
                zone,
                asked["with_none"],
            )
            found = [(told_group(group), points) for group, points in groups]
        return [
            named | {"points": [{"start": at.start, **told(at.totals, metrics)} for at in points]}
            for named, points in found
        ]


class RecordsView(UsageView):
    asked_class = PageAsked

    @extend_schema(parameters=[PageAsked], responses=RecordsOut, examples=[examples.RECORDS])
    def get(self, request: Request) -> Response:
        """Calls, newest first. Pages are found by key: none is missed or told twice, whatever
        comes in meanwhile."""
        asked = self.asked()
        page = queries.records(
            request.tenant.pk,
            asked["asked"],
            asked["filters"],
            before=asked.get("before"),
            after=asked.get("after"),
            limit=asked["page_size"],
            **asked["columns"],
        )
        names = names_in(page.rows)
        return Response(
            {
                "next": self._link(asked["asked"], "before", page.next),
                "previous": self._link(asked["asked"], "after", page.previous),
                "searched_to": page.searched_to,
                "results": [told_record(row, names) for row in page.rows],
            }
        )

    def _link(self, rng: queries.Range, direction: str, cursor: str | None) -> str | None:
        """This address at another place in the list, with the range as it was understood."""
        if cursor is None:
            return None
        kept = self.request.query_params.dict()
        for name in ("range", "before", "after"):
            kept.pop(name, None)
        kept |= {"start": iso(rng.start), "end": iso(rng.end), direction: cursor}
        return self.request.build_absolute_uri(f"{self.request.path}?{urlencode(kept)}")


def iso(at: Any) -> str:
    return at.isoformat().replace("+00:00", "Z")


class RecordView(UsageView):
    asked_class = RecordAsked

    @extend_schema(
        parameters=[RecordAsked], responses=RecordOut, examples=[examples.RECORD_EXAMPLE]
    )
    def get(self, request: Request, id: UUID) -> Response:  # noqa: A002  (the address names it)
        """One call by its request id, which the caller got as `X-Request-Id`."""
        row = queries.record(request.tenant.pk, id, self.asked().get("at"))
        own = confine(request, queries.Filters()).application
        if row is None or own not in (None, row.application_id):
            raise NotFound
        return Response(told_record(row, names_in([row])))


class ExportView(UsageView):
    asked_class = RecordsAsked

    @extend_schema(parameters=[RecordsAsked], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """Calls as CSV, newest first, all of the range. Text that a spreadsheet would take for
        a formula begins with an apostrophe."""
        asked = self.asked()
        rng = asked["asked"]
        blocks = queries.stream(request.tenant.pk, rng, asked["filters"], **asked["columns"])
        chunks = export.table(blocks, request.tenant)
        if isinstance(request._request, ASGIRequest):
            chunks = export.in_threads(chunks)
        response = StreamingHttpResponse(chunks, content_type="text/csv; charset=utf-8")
        name = f"usage-{rng.start:%Y%m%dT%H%M}-{rng.end:%Y%m%dT%H%M}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
