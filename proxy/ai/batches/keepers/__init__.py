"""One module for each way in which providers take batches: OpenAI's files and batches, and those
whose files the gateway keeps (``kept``), Anthropic's batches of messages and Gemini's. All tell of
files and batches as OpenAI does, with the provider's ids, and all answer with lines of OpenAI's
files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import IO, TYPE_CHECKING, Any, Protocol

from proxy.ai.batches.keepers import openai
from proxy.ai.batches.keepers.gemini import Gemini
from proxy.ai.batches.keepers.messages import Messages

if TYPE_CHECKING:
    from proxy.ai.batches.keepers.line import Line
    from proxy.ai.batches.marks import Mark
    from proxy.ai.batches.places import Desk
    from proxy.ai.errands import Place
    from proxy.ai.middle.rules import Notes


class Keeper(Protocol):
    """The shape of each. ``mark`` is that of the file or batch which is meant. Raises what
    ``Desk.ask`` raises."""

    LISTS: bool
    """What the provider lists tells whose it is."""

    def write(self, line: Line, place: Place, notes: Notes) -> bytes:
        """A request, as it stands in the file that is kept. Raises GatewayErrors."""

    async def put(
        self,
        desk: Desk,
        place: Place,
        name: str,
        spool: IO[bytes],
        size: int,
        form: dict[str, bytes],
    ) -> dict[str, Any]:
        """Keeps a file, of ``size`` bytes; ``name`` bears its mark."""

    async def file(self, desk: Desk, place: Place, mark: Mark) -> dict[str, Any]: ...

    async def delete(self, desk: Desk, place: Place, mark: Mark) -> dict[str, Any]: ...

    async def send(self, desk: Desk, place: Place, mark: Mark) -> None:
        """Answers with what is in a file."""

    async def create(
        self, desk: Desk, place: Place, file: Mark, asked: dict[str, Any]
    ) -> dict[str, Any]:
        """``asked``: the client's fields, with the batch's mark in the metadata."""

    async def batch(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]: ...

    async def cancel(self, desk: Desk, place: Place, identifier: str) -> dict[str, Any]: ...

    def answers(self, desk: Desk, place: Place, batch: dict[str, Any]) -> AsyncIterator[bytes]:
        """The bodies of its good answers, as the provider wrote them. Raises AnswerUnreadable, and
        ProviderSays with 404 or 410 where they are gone."""

    def format(self, batch: dict[str, Any]) -> str:
        """Of these bodies."""


_KEEPERS: dict[str, Keeper] = {
    "batches": openai,
    "message_batches": Messages("messages"),
    "gemini_batches": Gemini("gemini"),
}


def of(place: Place) -> Keeper:
    """By what the provider's module says that it speaks."""
    to = place.deployment.provider.destination
    return _KEEPERS[to.wire.speaks(to, "batches")[0]]
