"""Where an API is called, as shown to the tenant's people."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port

from catalog.models import Api

_EXAMPLE = re.compile(r"\{(\w+)\*?\}")

KEY_PLACEHOLDER = "YOUR_API_KEY"


def gateway_address(request: HttpRequest) -> str:
    """Scheme, host and port of the gateway, for the host that the console was opened on."""
    host, _ = split_domain_port(request.get_host())
    return settings.GATEWAY_ADDRESS.format(host=host)


def api_address(request: HttpRequest, api: Api) -> str:
    """The full address of an API; its routes lie below."""
    return gateway_address(request) + api.listen_path


def curl_line(address: str, *, headers: dict[str, str], body: Any = None) -> str:
    """A command that can be pasted into a shell as it stands; ``body`` goes as JSON."""
    parts = ["curl", shlex.quote(address)]
    for name, value in headers.items():
        parts += ["-H", shlex.quote(f"{name}: {value}")]
    if body is not None:
        parts += ["-H", shlex.quote("Content-Type: application/json")]
        parts += ["-d", shlex.quote(json.dumps(body, ensure_ascii=False))]
    return " ".join(parts)


def api_curl_line(request: HttpRequest, api: Api) -> str:
    """A first call to try, by the kind of the API."""
    headers = {api.key_header: KEY_PLACEHOLDER} if api.key_required else {}
    address = api_address(request, api)
    if api.kind == Api.Kind.AI:
        model = api.models.filter(enabled=True).order_by("name").first()
        body = {
            "model": model.name if model else "MODEL",
            "messages": [{"role": "user", "content": "Hello"}],
        }
        bearer = {"Authorization": f"Bearer {KEY_PLACEHOLDER}"} if api.key_required else {}
        return curl_line(f"{address}/chat/completions", headers=bearer, body=body)
    if api.kind == Api.Kind.PROMPT:
        return curl_line(address, headers=headers, body=_prompt_body(api))
    route = next((r for r in api.routes.all() if r.enabled and _readable(r.methods)), None)
    path = _EXAMPLE.sub(r"\1", route.path) if route else "/"
    return curl_line(address + path, headers=headers)


def _readable(methods: list[str]) -> bool:
    return not methods or "GET" in methods


def _prompt_body(api: Api) -> dict[str, str]:
    prompt = getattr(api, "prompt", None)
    version = prompt.published_version if prompt else None
    return {v["name"]: v.get("default") or "…" for v in (version.variables if version else [])}
