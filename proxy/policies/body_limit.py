"""Body limit: refuses bodies that are too large, by their declared length or while reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.policies import BodyLimit
from proxy.errors import BodyTooLarge
from proxy.policies.place import Place

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.gateway import Gateway
    from proxy.policies import Step


def compile(configs: list[tuple[str, BodyLimit]], place: Place) -> Step:  # noqa: A001
    """The smallest of all limits counts."""
    most = min(config.max_bytes for _, config in configs)

    def step(exchange: Exchange, gateway: Gateway) -> None:
        if not exchange.body_done:
            exchange.limit_body(most)
        elif exchange.request_bytes > most:
            # An AI call is read before it is known which API it belongs to.
            raise BodyTooLarge(most)

    return step
