"""From a raw path to an API and one of its routes.

A listen path is matched by whole segments, the longest wins. Below it a literal segment
goes before ``{name}`` and that before ``{name*}``. A final slash makes no difference to
what matches, and is forwarded.

Upstreams disagree about encoded slashes, dot segments and empty segments. A path with
any of these is read in two ways, as it stands and as the most lenient upstream would;
unless both readings meet at the same route it is not found. So no spelling of a path
reaches what its plain spelling would not.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar
from urllib.parse import unquote

from msgspec import Struct, field

Route = TypeVar("Route")
Api = TypeVar("Api")
Match = TypeVar("Match")

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\*?)\}")
_DECODINGS = 4

_PATHS_OF_ROUTE = 4
_REMEMBERED = 512
_MOST_REMEMBERED = 8192
"""A remembered match takes about 500 bytes."""
_LONGEST_REMEMBERED = 512
"""Bytes of a path."""


class TemplateError(ValueError):
    """A path template or rewrite that cannot be used; the message says why."""


class Node(Struct, Generic[Route], eq=False, gc=False):
    """One segment deep in the tree of an API's path templates. None where there is nothing.

    ``gc=False`` here and in ``runtime``: these refer to each other in one direction only, so
    a replaced tenant is freed at once and the cycle collector need not walk what is loaded.
    """

    literals: dict[str, Node[Route]] | None = None
    parameter: Node[Route] | None = None
    leaves: dict[str, Route] | None = None
    """By method; ``*`` for any."""
    tails: dict[str, Route] | None = None
    """The same for routes that take the rest of the path."""


class Table(Struct, Generic[Route], eq=False, gc=False):
    """The routes of one API by path template and method."""

    _root: Node[Route] = field(default_factory=Node)

    def add(self, template: str, methods: tuple[str, ...], route: Route) -> tuple[str, ...]:
        """Returns the names of the template's parameters in order. Raises TemplateError."""
        node, names, tail = self._root, [], False
        for segment in template.strip("/").split("/") if template.strip("/") else []:
            if tail:
                raise TemplateError(f"{template}: {{...*}} must be the last segment.")
            found = _PARAMETER.fullmatch(segment)
            if found is None:
                if "{" in segment or "}" in segment:
                    raise TemplateError(f"{template}: a parameter must be a whole segment.")
                node = _below(node, unquote(segment))
                continue
            names.append(found[1])
            if found[2]:
                tail = True
                continue
            if node.parameter is None:
                node.parameter = Node()
            node = node.parameter
        leaves = (node.tails if tail else node.leaves) or {}
        for method in methods or ("*",):
            leaves.setdefault(method, route)
        if tail:
            node.tails = leaves
        else:
            node.leaves = leaves
        return tuple(names)

    def find(self, segments: list[str], method: str, allowed: set[str]) -> Found[Route]:
        """The route and where its values begin; adds to ``allowed`` what other methods match."""
        return _find(self._root, segments, 0, method, (), allowed)


def _below(node: Node[Route], segment: str) -> Node[Route]:
    if node.literals is None:
        node.literals = {}
    below = node.literals.get(segment)
    if below is None:
        below = node.literals[segment] = Node()
    return below


Found = tuple[Route, tuple[int, ...]] | None
"""A route, and for each parameter the index of its segment (the last one's may run on)."""


def _find(
    node: Node[Route],
    segments: list[str],
    index: int,
    method: str,
    values: tuple[int, ...],
    allowed: set[str],
) -> Found[Route]:
    if index == len(segments):
        if node.leaves and (route := _pick(node.leaves, method, allowed)) is not None:
            return route, values
    else:
        segment = segments[index]
        below = node.literals.get(segment) if node.literals else None
        if below is not None:
            found = _find(below, segments, index + 1, method, values, allowed)
            if found is not None:
                return found
        if node.parameter is not None and segment:
            found = _find(node.parameter, segments, index + 1, method, (*values, index), allowed)
            if found is not None:
                return found
    if node.tails and (route := _pick(node.tails, method, allowed)) is not None:
        return route, (*values, index)
    return None


def _pick(leaves: dict[str, Route], method: str, allowed: set[str]) -> Route | None:
    route = leaves.get(method)
    if route is None:
        route = leaves.get("*")
        if route is None and method == "HEAD":
            route = leaves.get("GET")
        if route is None:
            allowed.update(leaves)
    return route


class Listen(Generic[Api, Match]):
    """APIs by listen path, and what was found by method and raw path.

    Only found matches are remembered, and as many as befits the number of routes: tenants do
    not push each other out, nor does a caller with ever new paths cost much memory.
    """

    __slots__ = ("_apis", "_deepest", "_most", "remembered")

    def __init__(self, routes: int = 0) -> None:
        self.remembered: dict[tuple[str, bytes], Match] = {}
        self._most = min(max(_REMEMBERED, _PATHS_OF_ROUTE * routes), _MOST_REMEMBERED)
        self._apis: dict[str, Api] = {}
        self._deepest = 0

    def remember(self, method: str, raw: bytes, match: Match) -> None:
        if len(self.remembered) >= self._most:
            self.remembered.clear()
        if len(raw) <= _LONGEST_REMEMBERED:
            self.remembered[method, raw] = match

    def add(self, path: str, api: Api) -> bool:
        """False where the listen path is taken."""
        key = path.strip("/")
        if key in self._apis:
            return False
        self._apis[key] = api
        self._deepest = max(self._deepest, len(key.split("/")) if key else 0)
        return True

    def find(self, segments: list[str]) -> tuple[Api, int] | None:
        """The API of the longest listen path, and how many segments that has."""
        for count in range(min(self._deepest, len(segments)), 0, -1):
            key = segments[0] if count == 1 else "/".join(segments[:count])
            api = self._apis.get(key)
            # An encoded slash inside a segment must not pass for one between segments.
            if api is not None and key.count("/") == count - 1:
                return api, count
        root = self._apis.get("")
        return (root, 0) if root is not None else None


class Path:
    """A request's path: ``raw`` segments as sent, ``plain`` ones decoded for matching.

    ``loose`` is the most lenient reading where that differs, else None; ``escapes`` tells
    that it holds a dot segment.
    """

    __slots__ = ("escapes", "loose", "plain", "raw", "slash")

    def __init__(self, path: str) -> None:
        self.escapes = False
        self.loose: list[str] | None = None
        self.raw = path[1:].split("/")
        self.slash = self.raw[-1] == ""
        if self.slash:
            self.raw.pop()
        self.plain = self.raw
        if "%" in path or "//" in path or "/." in path or "\\" in path or ";" in path:
            self._doubt()

    def _doubt(self) -> None:
        self.plain = [unquote(segment) for segment in self.raw]
        text = "/".join(self.raw)
        for _ in range(_DECODINGS):
            text = unquote(text)
        parts = [part.partition(";")[0] for part in text.replace("\\", "/").split("/")]
        self.escapes = "." in parts or ".." in parts or "\0" in text
        loose = [part for part in parts if part]
        if loose != self.plain:
            self.loose = loose

    def below(self, count: int) -> str:
        """The raw path without its first ``count`` segments: ``""`` or ``/...``."""
        rest = "".join(["/" + segment for segment in self.raw[count:]])
        return rest + "/" if self.slash else rest


class Rewrite(Struct, eq=False, gc=False):
    """A rewrite template, compiled. Parameters are put in as they came, still encoded."""

    _parts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, template: str, names: tuple[str, ...]) -> Rewrite:
        """Raises TemplateError for a parameter that is not among ``names``."""
        parts = []
        end = 0
        for found in _PARAMETER.finditer(template):
            if found[1] not in names:
                raise TemplateError(f"{template}: the path has no parameter {found[1]!r}.")
            parts.append((template[end : found.start()], found[1]))
            end = found.end()
        parts.append((template[end:], ""))
        return cls(tuple(parts))

    def __call__(self, params: dict[str, str]) -> str:
        return "".join([text + (params[name] if name else "") for text, name in self._parts])
