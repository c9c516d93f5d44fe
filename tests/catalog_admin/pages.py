"""Every page of the catalogue's admin, for tests that ask all of them."""

from __future__ import annotations

MODELS = [
    "upstream",
    "api",
    "application",
    "apikey",
    "plan",
    "limit",
    "subscription",
    "provider",
    "aimodel",
    "prompt",
    "publication",
]

# What only POST may do: path below the object, and a body that is accepted.
DEEDS = [
    ("api", "publish/", {}),
    ("api", "retire/", {}),
    ("apikey", "rotate/", {"grace": "0"}),
    ("apikey", "revoke/", {}),
    ("subscription", "approve/", {"reason": ""}),
    ("subscription", "reject/", {"reason": "No"}),
    ("subscription", "revoke/", {"reason": "No"}),
    ("provider", "remove-key/", {}),
    ("prompt", "versions/1/publish/", {}),
    ("prompt", "versions/add/", {}),
]

READING = ["change/", "history/"]


def of(model: str, *parts: object) -> str:
    return "/admin/catalog/" + "/".join([model, *map(str, parts)]).rstrip("/") + "/"


def below(model: str, row: object, path: str) -> str:
    return f"/admin/catalog/{model}/{row.pk}/{path}"
