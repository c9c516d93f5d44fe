"""What a snapshot says of providers and prompts, made ready for use when it loads."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from contract.presets import preset_of
from contract.snapshot import Prompt, PromptVariable, Provider, SnapshotError, Target
from contract.templates import Template, TemplateError, parse
from proxy.ai.providers import WIRE_FORMATS, Wire

logger = logging.getLogger(__name__)

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_PATH = re.compile(r"(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*")
_SCHEMES: dict[str, tuple[Literal["http", "https"], int]] = {
    "http": ("http", 80),
    "https": ("https", 443),
}


class Destination:
    """Where a provider is and how it is spoken to.

    ``base`` is the path of its address; ``credential`` is in the clear, must not be logged, and is
    None where there is none. ``kept`` is for what a provider's module makes of these only once.
    Raises SnapshotError for a ``base_url`` that is none.
    """

    __slots__ = ("base", "credential", "kept", "preset", "ready", "settings", "target", "wire")

    def __init__(self, provider: Provider, credential: str | None) -> None:
        self.wire: Wire = WIRE_FORMATS[provider.wire_format]
        self.preset = preset_of(provider.preset)
        self.settings = provider.settings
        self.target = _target(provider)
        self.base = self.target.path
        self.credential = _sendable(provider, credential)
        self.kept: dict[str, Any] = {}
        self.ready: Callable[[Destination], Awaitable[None]] | None = getattr(
            self.wire, "ready", None
        )
        """To be awaited before its headers are asked for, where there is one."""


def _sendable(provider: Provider, credential: str | None) -> str | None:
    credential = (credential or "").strip()
    if not credential:
        return None
    if provider.wire_format != "vertex" and not (credential.isascii() and credential.isprintable()):
        # As with a credential that does not open: this provider will refuse, all else works.
        logger.error("The credential of provider %s cannot be sent in a header.", provider.id)
        return None
    return credential


def _target(provider: Provider) -> Target:
    try:
        address = urlsplit(provider.base_url)
        host, port = address.hostname or "", address.port
    except ValueError as error:
        raise SnapshotError(f"Provider {provider.name}: {error}.") from error
    path = address.path.rstrip("/")
    extras = address.username or address.query or address.fragment
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or port == 0 or extras:
        raise SnapshotError(f"Provider {provider.name}: {provider.base_url!r} is no base address.")
    if address.scheme not in _SCHEMES:
        raise SnapshotError(f"Provider {provider.name}: the address must begin with http or https.")
    scheme, default = _SCHEMES[address.scheme]
    return Target(id=provider.id, scheme=scheme, host=host, port=port or default, path=path)


class CompiledPrompt:
    """Raises SnapshotError for broken templates and for variables that are not declared."""

    __slots__ = ("messages", "prompt", "structured", "variables")

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.variables: dict[str, PromptVariable] = {item.name: item for item in prompt.variables}
        self.messages: tuple[tuple[str, Template], ...] = tuple(
            (message.role, self._template(message.template)) for message in prompt.messages
        )
        wanted = prompt.parameters.get("response_format")
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        self.structured = kind in ("json_object", "json_schema")

    def _template(self, text: str) -> Template:
        try:
            template = parse(text)
        except TemplateError as error:
            raise SnapshotError(f"Prompt {self.prompt.name}: {error}") from error
        for name in template[1::2]:
            if name not in self.variables:
                raise SnapshotError(f"Prompt {self.prompt.name} declares no variable {name!r}.")
        return template
