"""A small REST service to publish through the gateway: invented weather of real cities.

=======  ==========================  =====================================================
GET      /weather/cities             every city with its name and country
GET      /weather/cities/{city}      its forecast; ``?days=`` from 1 to 14, otherwise 3
POST     /weather/reports            ``{"city", "celsius", "note"?}``: 201 with the report
DELETE   /weather/reports/{id}       204; reports are not kept, so any id will do
GET      /weather/slow               answers after ``?seconds=`` (at most 60), otherwise 1
=======  ==========================  =====================================================
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sandbox.web import Refused, Request, allow

CITIES = {
    "berlin": ("Berlin", "DE"),
    "lagos": ("Lagos", "NG"),
    "lima": ("Lima", "PE"),
    "madrid": ("Madrid", "ES"),
    "nairobi": ("Nairobi", "KE"),
    "paris": ("Paris", "FR"),
    "sydney": ("Sydney", "AU"),
    "tokyo": ("Tokyo", "JP"),
    "toronto": ("Toronto", "CA"),
    "zurich": ("Zürich", "CH"),
}
_SKIES = ("sunny", "cloudy", "rain", "storm", "fog", "snow")


class Report(Struct, forbid_unknown_fields=True):
    city: str
    celsius: Annotated[float, Meta(ge=-90, le=60)]
    note: Annotated[str, Meta(max_length=500)] = ""


_decoder = msgspec.json.Decoder(Report)


async def serve(request: Request, segments: list[str]) -> None:
    """``segments`` are those after ``/weather``."""
    try:
        await _route(request, segments)
    except Refused as error:
        value = {"error": {"code": error.code, "message": error.message}}
        await request.answer(value, status=error.status, headers=error.headers)


async def _route(request: Request, segments: list[str]) -> None:
    match segments:
        case ["cities"]:
            allow(request, "GET")
            await request.answer({"cities": [_city(key) for key in CITIES]})
        case ["cities", key]:
            allow(request, "GET")
            await request.answer(_forecast(_known(key), int(_number(request, "days", 3, 1, 14))))
        case ["reports"]:
            allow(request, "POST")
            await _report(request)
        case ["reports", identifier] if identifier:
            allow(request, "DELETE")
            await request.no_content()
        case ["slow"]:
            allow(request, "GET")
            seconds = _number(request, "seconds", 1, 0, 60)
            await asyncio.sleep(seconds)
            await request.answer({"waited_seconds": seconds})
        case _:
            raise Refused(404, "not_found", "There is nothing here: try /weather/cities.")


def _known(key: str) -> str:
    """The key of a city by any capitals. Raises Refused 404."""
    if key.lower() not in CITIES:
        raise Refused(404, "unknown_city", f"There is no weather for {key!r}: see /weather/cities.")
    return key.lower()


def _city(key: str) -> dict[str, str]:
    name, country = CITIES[key]
    return {"id": key, "name": name, "country": country}


def _forecast(key: str, days: int) -> dict[str, Any]:
    return {"city": _city(key), "days": [_day(key, day) for day in range(days)]}


def _day(key: str, day: int) -> dict[str, Any]:
    """``day`` counts from today; the weather of a city's day is always the same."""
    sky, warmth, wet, wind = sha256(f"{key} {day}".encode()).digest()[:4]
    return {
        "day": day,
        "sky": _SKIES[sky % 5] if warmth % 32 > 3 else "snow",
        "celsius": {"low": warmth % 32 - 4, "high": warmth % 32 + 2 + wet % 6},
        "rain_percent": wet % 101,
        "wind_kmh": wind % 60,
    }


async def _report(request: Request) -> None:
    body = await request.body()
    try:
        report = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, "invalid_report", f"The report cannot be read: {error}") from error
    key = _known(report.city)
    identifier = sha256(body).hexdigest()[:12]
    value = {"id": identifier, "city": _city(key), "celsius": report.celsius, "note": report.note}
    location = {"location": f"/weather/reports/{identifier}"}
    await request.answer(value, status=201, headers=location)


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    given = request.query(name)
    try:
        value = default if given is None else float(given)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        message = f"{name} must be a number from {low} to {high}."
        raise Refused(400, "invalid_parameter", message)
    return value
