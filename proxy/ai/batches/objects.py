"""Files and batches as their clients see them: with our ids, and without our marks."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from proxy.ai.batches.marks import METADATA, Mark
from proxy.ai.batches.places import Desk
from proxy.ai.errands import Place


def file(desk: Desk, told: dict[str, Any], known: Mark | None = None) -> dict[str, Any] | None:
    """``known``: the mark in the id by which it was asked for. None where it is not ours."""
    named = desk.marks.named(told.get("filename"))
    identifier = told.get("id")
    if (named is None and known is None) or not isinstance(identifier, str):
        return None
    if named is not None:
        mark, name = named
        mark = Mark(mark.deployment, identifier, mark.input_tokens, mark.output_tokens)
        return {**told, "id": desk.marks.write("file", mark), "filename": name}
    return {**told, "id": desk.marks.write("file", known)} if known is not None else None


def batch(desk: Desk, told: dict[str, Any], known: Mark | None = None) -> dict[str, Any] | None:
    """As ``file``."""
    mark = mark_of(desk, told) or known
    identifier = told.get("id")
    if mark is None or mark.deployment not in desk.places or not isinstance(identifier, str):
        return None
    place = desk.places[mark.deployment]
    metadata = {key: value for key, value in metadata_of(told).items() if key != METADATA}
    shown = {
        **told,
        "id": desk.marks.write("batch", replace(mark, id=identifier)),
        "metadata": metadata or None,
    }
    if isinstance(told.get("model"), str):
        shown["model"] = place.model.name
    uses = (mark.input_tokens, mark.output_tokens)
    shown["input_file_id"] = mark.file or told.get("input_file_id")
    _file_id(desk, shown, "input_file_id", lambda id_: Mark(mark.deployment, id_, *uses))
    for name in ("output_file_id", "error_file_id"):
        _file_id(desk, shown, name, lambda id_: replace(mark, id=id_, batch=identifier))
    return shown


def mark_of(desk: Desk, told: dict[str, Any]) -> Mark | None:
    """That which a batch bears at its provider."""
    return desk.marks.read("batch mark", metadata_of(told).get(METADATA))


def metadata_of(told: dict[str, Any]) -> dict[str, Any]:
    metadata = told.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _file_id(desk: Desk, shown: dict[str, Any], name: str, mark: Any) -> None:
    if isinstance(shown.get(name), str) and shown[name]:
        shown[name] = desk.marks.write("file", mark(shown[name]))


def place_of(desk: Desk, mark: Mark | None) -> Place | None:
    return desk.places.get(mark.deployment) if mark is not None else None
