"""One module per wire format, by the name that ``contract.snapshot.Provider`` gives it.

Each has:

- ``CHAT`` and ``EMBEDDINGS``: the path of each call below the provider's ``base_url``
- ``headers(credential, request headers) -> list``: what is sent to the provider
- ``prepare(body, call, model) -> bytes``: the body for the provider from the client's
"""

from __future__ import annotations

from types import ModuleType

from proxy.ai.providers import openai

WIRE_FORMATS: dict[str, ModuleType] = {"openai": openai}
