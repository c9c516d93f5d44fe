"""Which recordings the clients are driven over, and the tenant that offers each as a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from recordings import CHAT, RESPONSES, Exchange, exchanges

from bench import tenants
from contract import secrets
from contract.snapshot import AIModel, Deployment, Provider, TenantSnapshot
from proxy.ai.errors import InvalidJson
from proxy.ai.formats.registry import FORMATS
from tests.clients.recorded import told as plainly
from tests.clients.recorded.told import Told, Unsaid

SECRET_KEY = "bench-only-" + "0" * 32
CREDENTIAL = "no-key"
STEPS = ("chat", "stream", "tools", "structured", "embeddings", "error")
_GEMINI = r".*:(g|streamG)enerateContent"


class Source(Struct, frozen=True):
    """A provider of the recordings. ``spoken``: by the format in which it is asked, the endpoints
    of that format."""

    name: str
    wire: str
    spoken: dict[str, str]
    path: str = ""
    embeds: str = ""
    settings: dict[str, str] = {}


SOURCES = (
    Source("openai", "openai", {"chat": CHAT, "responses": RESPONSES}, "/v1", r"/v1/embeddings"),
    Source("azure-openai", "azure", {"chat": CHAT}, "/openai", r".*/embeddings"),
    Source("anthropic", "anthropic", {"messages": r"/v1/messages"}),
    Source("gemini", "gemini", {"gemini": _GEMINI}, "/v1beta", r".*:batchEmbedContents"),
    Source(
        "vertex",
        "vertex",
        {"gemini": _GEMINI},
        settings={"project": "p", "location": "us-central1"},
    ),
    Source("bedrock", "bedrock", {"converse": r"/model/.*/converse(-stream)?"}),
    Source("cohere", "cohere", {"cohere": r"/v2/chat"}, embeds=r"/v2/embed"),
    Source("mistral", "openai", {"chat": CHAT}, "/v1", r".*/embeddings"),
    Source("groq", "openai", {"chat": CHAT, "responses": RESPONSES}, "/openai/v1"),
    Source("openrouter", "openai", {"chat": CHAT, "responses": RESPONSES}, "/api/v1"),
    Source("deepseek", "openai", {"chat": CHAT}),
)


class Item(Struct):
    """A recording and the step that a client takes over it. ``spoken``: the format of it."""

    model: str
    provider: str
    step: str
    spoken: str
    tools: list[str] = []
    want: dict[str, Any] = {}

    def suits(self, door: str) -> bool:
        """Whether a client at that door reaches it: a provider that speaks the client's format is
        asked in it, any other in its first."""
        source = next(one for one in SOURCES if one.name == self.provider)
        return self.spoken == (door if door in source.spoken else next(iter(source.spoken)))


def chosen(most: int) -> tuple[list[Item], dict[str, Exchange]]:
    """At most so many of each provider, format and step, spread over what there is; and the
    recordings by the name of the model that stands for each."""
    items: list[Item] = []
    found: dict[str, Exchange] = {}
    for source in SOURCES:
        for step, spoken, candidates in _steps(source):
            for exchange, item in _spread(list(candidates), most):
                item.step, item.spoken = step, spoken
                found[item.model] = exchange
                items.append(item)
    return items, found


def _spread(given: list[Any], most: int) -> list[Any]:
    if len(given) <= most:
        return given
    return [given[n * len(given) // most] for n in range(most)]


def _steps(source: Source) -> Iterator[tuple[str, str, Iterator[tuple[Exchange, Item]]]]:
    for spoken, endpoint in source.spoken.items():
        for step in ("chat", "stream", "tools", "structured"):
            yield step, spoken, _answers(source, spoken, endpoint, step)
        yield "error", spoken, _faults(source, endpoint)
    if source.embeds:
        yield "embeddings", "embeddings", _vectors(source)


def _item(source: Source, exchange: Exchange, **more: Any) -> tuple[Exchange, Item]:
    return exchange, Item(f"rec-{exchange.id}", source.name, "", "", **more)


def _answers(
    source: Source, spoken: str, endpoint: str, step: str
) -> Iterator[tuple[Exchange, Item]]:
    for exchange in exchanges(source.name, endpoint, stream=step == "stream"):
        said: Told | None = None
        with suppress(Unsaid):
            said = plainly.told(exchange, spoken)
        if said is None or said.finish is None or not (said.text or said.calls):
            continue
        formed = _formed(exchange, spoken) and isinstance(plainly.value_of(said.text), dict)
        kind = "tools" if said.calls else "structured" if formed and said.text else "chat"
        if step in (kind, "stream"):
            names = list(dict.fromkeys(name for name, _ in said.calls))
            yield _item(source, exchange, tools=names, want=said._asdict())


def _formed(exchange: Exchange, spoken: str) -> bool:
    """Whether an answer in a form was asked for. Some requests were recorded cut off."""
    try:
        request = FORMATS[spoken].read_request(exchange.request, model="m")
    except InvalidJson:
        return False
    return request.output is not None and request.output.kind != "text"


def _faults(source: Source, endpoint: str) -> Iterator[tuple[Exchange, Item]]:
    for exchange in exchanges(source.name, endpoint, failed=True):
        with suppress(Unsaid):
            message, code = plainly.fault(exchange)
            want = {"status": exchange.status, "message": message, "code": code}
            yield _item(source, exchange, want=want)


def _vectors(source: Source) -> Iterator[tuple[Exchange, Item]]:
    for exchange in exchanges(source.name, source.embeds):
        made = plainly.vectors(exchange)
        if made:
            packed = b'"encoding_format":"base64"' in exchange.request.replace(b" ", b"")
            want = {"vectors": [one[:3] for one in made], "packed": packed}
            yield _item(source, exchange, want=want)


def tenant(port: int, names: dict[str, str]) -> TenantSnapshot:
    """``names``: of the models, with the provider of each."""
    small = tenants.small(port)
    seal = secrets.Sealer(SECRET_KEY).seal
    context = secrets.provider_context(small.tenant_id)
    providers = tuple(
        Provider(
            one.name,
            one.name,
            one.wire,  # type: ignore[arg-type]
            f"http://127.0.0.1:{port}{one.path}",
            credential=seal(CREDENTIAL, context),
            preset=one.name if one.wire == "openai" else "",
            settings=one.settings,
        )
        for one in SOURCES
    )
    models = tuple(
        AIModel(
            name,
            name,
            ("ai",),
            (Deployment(f"d-{name}", provider, name),),
            abilities=("chat", "embeddings"),
        )
        for name, provider in names.items()
    )
    return replace(small, providers=providers, models=models)
