"""Where each kind of provider is called and how it knows us, by ``contract.snapshot.Provider``'s
``wire_format``. What is said there is another matter: ``proxy.ai.formats``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from proxy.ai.providers import anthropic, azure, bedrock, cohere, gemini, openai, vertex

if TYPE_CHECKING:
    from proxy.ai.compiled import Destination
    from proxy.errors import Headers


class Wire(Protocol):
    """The shape of a module here."""

    def speaks(self, to: Destination, operation: str) -> tuple[str, ...]:
        """The formats in which ``operation`` can be asked for, the preferred one first."""

    def path(
        self, to: Destination, operation: str, spoken: str, model: str, *, stream: bool
    ) -> bytes:
        """The whole path and query. ``spoken`` is one of the formats above."""

    def headers(
        self, to: Destination, client: Mapping[bytes, bytes], path: bytes, body: bytes
    ) -> Headers:
        """What the provider is sent: never the client's credentials, cookies or addresses.
        Content-Type is among them; ``client`` are the client's headers by lower-case name."""

    # A module may have ``async ready(to)``, which is awaited first: it fetches what headers need.
    # One with ``ANEW`` has other headers for each call: see ``proxy.ai.sending``.


WIRE_FORMATS: dict[str, Wire] = {
    "openai": openai,
    "azure": azure,
    "anthropic": anthropic,
    "gemini": gemini,
    "vertex": vertex,
    "bedrock": bedrock,
    "cohere": cohere,
}
