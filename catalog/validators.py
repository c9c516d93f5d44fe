"""Checks of single values, the same for admin, management API and commands."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

RESERVED_PATHS = ("/v1", "/v1beta", "/healthz", "/readyz")
"""Listen paths that belong to the gateway itself."""

_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()+,;=:@-]+")
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\*?)\}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_TOKEN = re.compile(r"[A-Za-z0-9-]+")
_MODEL = re.compile(r"[A-Za-z0-9@~][A-Za-z0-9._:/@~-]*")


def validate_address(value: str) -> None:
    """An absolute http or https address without query, fragment or credentials."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValidationError(f"This is not an address: {error}.") from None
    if parts.scheme not in ("http", "https"):
        raise ValidationError("The address must start with http:// or https://.")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValidationError("The address needs a host name, like https://orders.example.com.")
    if port == 0:
        raise ValidationError("Port 0 cannot be connected to.")
    if parts.username or parts.password:
        raise ValidationError("Leave user names and passwords out of the address.")
    if parts.query or parts.fragment:
        raise ValidationError("The address takes no query and no fragment (? and #).")
    if any(c.isspace() for c in value):
        raise ValidationError("The address holds a space.")


def validate_listen_path(value: str) -> None:
    """``""`` or ``/segments`` of plain characters, with no final slash."""
    if value == "":
        return
    if not value.startswith("/") or value.endswith("/"):
        raise ValidationError("Start the path with / and leave out the / at the end.")
    for segment in value[1:].split("/"):
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise ValidationError(f"“{segment}” cannot be part of a path.")


def path_parameters(path: str) -> list[str]:
    """Names in braces in a route's path, in order, ``*`` taken off."""
    return [name for name, _ in _PARAMETER.findall(path)]


def validate_route_path(value: str) -> None:
    """``/`` or ``/segments`` where a segment is plain, ``{name}`` or, last, ``{name*}``."""
    if not value.startswith("/"):
        raise ValidationError("Start the path with /.")
    segments = value[1:].split("/") if value != "/" else []
    for position, segment in enumerate(segments):
        parameter = _PARAMETER.fullmatch(segment)
        if parameter and parameter[2] and position != len(segments) - 1:
            raise ValidationError(f"{segment} takes all that follows, so it must come last.")
        if parameter or (segment == "" and position == len(segments) - 1):
            continue
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise ValidationError(f"“{segment}” cannot be part of a path.")
    names = path_parameters(value)
    if len(names) != len(set(names)):
        raise ValidationError("A name in braces stands twice.")


def validate_rewrite(value: str, path: str) -> None:
    """A rewrite may only use names that the route's path has."""
    validate_route_path(value)
    unknown = sorted(set(path_parameters(value)) - set(path_parameters(path)))
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in unknown)
        raise ValidationError(f"{names} is not in the route's path.")


def validate_probe_path(value: str) -> None:
    """A path, perhaps with a query, as it goes onto the wire."""
    if not re.fullmatch(r"/[!-\"$-~]*", value):
        raise ValidationError("Start the path with /; spaces and # must be percent-encoded.")


def validate_header_name(value: str) -> None:
    if not _TOKEN.fullmatch(value):
        raise ValidationError("A header name has only letters, digits and hyphens.")


def validate_query_name(value: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise ValidationError("Use letters, digits, hyphens, dots and underscores.")


def validate_model_name(value: str) -> None:
    if not _MODEL.fullmatch(value):
        raise ValidationError(
            "Use letters, digits and . _ : / @ ~ -, with a letter, a digit, @ or ~ first."
        )


_OF_A_CHAT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_QUIRKS = 50


def validate_quirks(value: Any) -> None:
    """What ``contract.quirks.quirks_of`` takes for ``declared``."""
    if not isinstance(value, dict) or len(value) > _MOST_QUIRKS:
        raise ValidationError(f"Use an object of at most {_MOST_QUIRKS} parameters.")
    for name, told in value.items():
        if name in ("model", "messages", "stream") or not _OF_A_CHAT.fullmatch(name):
            raise ValidationError(f"'{name[:64]}' is no parameter that can be left out.")
        if not isinstance(told, str) or not _OF_A_CHAT.fullmatch(told):
            raise ValidationError(f"Use drop, refuse, send or another name for '{name}'.")


def validate_currency(value: str) -> None:
    if not re.fullmatch(r"[A-Z]{3}", value):
        raise ValidationError("Use the currency's code of three letters, like USD or EUR.")


def validate_user_from(value: str) -> None:
    """``header:<name>`` or ``claim:<name>``."""
    kind, _, name = value.partition(":")
    if kind == "header" and _TOKEN.fullmatch(name):
        return
    if kind == "claim" and re.fullmatch(r"[A-Za-z0-9_.:/-]{1,80}", name):
        return
    raise ValidationError(
        "Write header: and the name of a header, like header:X-User-Id, or claim: and the name "
        "of a claim, like claim:sub."
    )
