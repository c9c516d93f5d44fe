"""The snapshot: everything the data plane knows about one tenant, in one immutable value.

The control plane compiles it, validates it, stores it and announces it. A gateway
decodes it once, builds its indexes and swaps one reference. Identifiers are strings
of UUIDs. Secrets appear only sealed (see ``contract.secrets``), API keys only as
SHA-256 digests.

No value here can refer back to one that holds it, so the cycle collector is spared them
(``gc=False``): a worker holds hundreds of thousands.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from contract.policies import Policy
from contract.presets import WireFormat
from contract.routing import Routing

FORMAT = 1
"""Raised when a gateway of this version could misread an older blob."""

ApiKind = Literal["http", "ai", "prompt", "limits"]
SubscriptionStatus = Literal["pending", "approved", "rejected", "revoked"]


class Target(Struct, frozen=True, gc=False):
    """One address of an upstream. ``host`` is a name or an IP literal without brackets."""

    id: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    weight: int = 1
    path: str = ""
    """Prefix put before the forwarded path; empty or ``/like/this`` with no final slash."""


class Timeouts(Struct, frozen=True, gc=False):
    """All in seconds. ``first_byte`` runs from the request's end to the response's head,
    ``total`` from the first attempt to the answer's last byte; None where nothing limits that.
    """

    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float | None = None


class Retries(Struct, frozen=True, gc=False):
    """What is tried again. Nothing is that may have had an effect: only what was not sent, and
    calls that are idempotent or carry an ``Idempotency-Key`` and had no byte of an answer.
    """

    most: int = 2
    """Further attempts for one call."""
    on_timeout: bool = False
    statuses: tuple[int, ...] = ()
    """Answers that are tried again like a connection that broke."""
    budget_percent: int = 20
    """Of an upstream's calls in the last ten seconds, in one worker."""
    budget_per_second: int = 3
    """So many are always allowed."""


class Breaker(Struct, frozen=True, gc=False):
    """When a target is left out. Failed connections and broken answers always count.

    After ``seconds`` one call is let through to see; its outcome decides for all.
    """

    failures: int = 3
    """In a row."""
    seconds: float = 10.0
    error_percent: int = 0
    """Of the calls in the last ten seconds, once there were ``least_calls``; 0: not looked at."""
    least_calls: int = 20
    on_status: bool = False
    """An answer of 500 or above is a failure."""
    on_timeout: bool = False
    """So is one that takes too long."""


class Probe(Struct, frozen=True, gc=False):
    """Calls that a worker makes to see whether a target is well. Times in seconds."""

    path: str
    """Below the target's own path, with the query."""
    interval: float = 10.0
    timeout: float = 2.0
    status: int = 200
    healthy_after: int = 2
    """Answers in a row with that status after which a target is used again."""
    unhealthy_after: int = 3
    """Other answers, or none, in a row after which it is left out."""


class Upstream(Struct, frozen=True, gc=False):
    """Where calls go: one or more targets that serve the same thing."""

    id: str
    name: str
    targets: tuple[Target, ...]
    timeouts: Timeouts = Timeouts()
    preserve_host: bool = False
    """Forward the caller's Host header in place of the target's own."""
    tls_verify: bool = True
    breaker: Breaker = Breaker()
    retries: Retries = Retries()
    probe: Probe | None = None
    max_connections: int = 2000
    """To each target, from each worker."""
    max_waiting: int = 200
    """Calls that may wait for one of them."""


class Route(Struct, frozen=True, gc=False):
    """One path of an API.

    ``path`` is relative to the API's listen path: ``/orders``, ``/orders/{id}`` or
    ``/files/{rest*}`` (``{name}`` matches one segment, a final ``{name*}`` the rest, which
    may be empty). ``rewrite`` is the path sent upstream and may use the same names; None
    forwards ``path`` as matched, that is with the API's listen path taken off.
    An empty ``methods`` accepts any.
    """

    id: str
    path: str
    methods: tuple[str, ...] = ()
    rewrite: str | None = None
    policies: tuple[Policy, ...] = ()
    timeouts: Timeouts | None = None
    """In place of the upstream's."""
    retries: int | None = None
    """Further attempts, in place of the upstream's ``Retries.most``."""


class Api(Struct, frozen=True, gc=False):
    """One published API.

    An ``http`` API forwards to ``upstream_id``; an ``ai`` API offers the tenant's models
    under the fixed paths below ``/v1``; a ``prompt`` API answers ``POST <listen_path>``
    with ``prompt_id``. ``limits`` is the gateway's own at ``/v1/limits`` and in no snapshot.
    ``hosts`` are those of the tenant's hosts on which it answers, before any API with the
    same path that answers on every host; empty means every host.
    """

    id: str
    name: str
    kind: ApiKind
    listen_path: str
    """Without a final slash: ``/weather``; ``""`` for the root."""
    hosts: tuple[str, ...] = ()
    upstream_id: str | None = None
    prompt_id: str | None = None
    routes: tuple[Route, ...] = ()
    key_required: bool = True
    """Needs an API key with an approved subscription. Otherwise anybody may call."""
    key_header: str = "x-api-key"
    """Lower case. ``Authorization: Bearer`` is accepted as well."""
    key_query: str | None = None
    """Query parameter that may carry the key; None where keys in addresses are not wanted."""
    user_from: str = ""
    """What names the end user: ``header:<lower-case name>``, or ``claim:<name>`` of the JWT in
    Authorization, which is trusted as far as the application that sends it. Empty: nothing."""
    policies: tuple[Policy, ...] = ()


class Plan(Struct, frozen=True, gc=False):
    id: str
    name: str
    policies: tuple[Policy, ...] = ()


class Application(Struct, frozen=True, gc=False):
    """A client of the tenant's APIs."""

    id: str
    name: str
    policies: tuple[Policy, ...] = ()


class ApiKey(Struct, frozen=True, gc=False):
    """``digest`` is the SHA-256 of the key, ``expires_at`` a Unix time in seconds."""

    id: str
    digest: bytes
    application_id: str
    expires_at: float | None = None
    policies: tuple[Policy, ...] = ()


class Subscription(Struct, frozen=True, gc=False):
    """An application's use of an API under a plan; only ``approved`` opens the door."""

    id: str
    application_id: str
    api_id: str
    plan_id: str
    status: SubscriptionStatus


class Provider(Struct, frozen=True, gc=False):
    """An AI provider and, sealed, the credential for it.

    ``base_url`` of those that speak OpenAI's format includes the version segment, as in
    ``https://host/v1``. ``wire_format`` names the module in ``proxy/ai/providers`` that knows
    addresses and credentials, ``preset`` the quirks (``contract.presets``), and ``settings`` are
    what the preset asks for besides. ``credential`` opens with ``contract.secrets.Sealer`` in
    ``contract.secrets.provider_context(tenant_id)``.
    """

    id: str
    name: str
    wire_format: WireFormat
    base_url: str
    credential: bytes | None = None
    timeouts: Timeouts = Timeouts(first_byte=300.0, idle=120.0)
    preset: str = ""
    settings: dict[str, str] = {}


class PriceStep(Struct, frozen=True, gc=False):
    """Another price of ``unit``, a field of ``Prices``, for all tokens of calls with more than
    ``above`` input tokens."""

    unit: str
    above: int
    price: int


class PicturePrice(Struct, frozen=True, gc=False):
    """Of a picture of this size, and of this quality or, where that is empty, of any.

    Both are in lower case and as the provider's answer says them, or else the request; ``auto``
    where neither does.
    """

    size: str
    quality: str
    price: int


class Prices(Struct, frozen=True, gc=False):
    """Micro-units of ``currency`` per million tokens, so that sums stay integers; ``request`` and
    ``search`` are per thousand.

    ``input`` or ``output`` None is unknown, which is not the same as 0. Where another one is None,
    those tokens have no price of their own and cost what all input, or output, costs. ``since`` is
    the Unix time from which on they hold.

    What is billed otherwise: ``picture`` is that of one picture made, where ``pictures`` has none
    of its kind; ``heard_hour`` of an hour of sound that is transcribed; ``characters`` of a million
    characters that are spoken. A call that is billed so pays for its tokens too where these have a
    price, and not where they have none.
    """

    input: int | None = None
    output: int | None = None
    currency: str = "USD"
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    cached_audio: int | None = None
    output_audio: int | None = None
    input_image: int | None = None
    output_image: int | None = None
    request: int | None = None
    search: int | None = None
    steps: tuple[PriceStep, ...] = ()
    since: int = 0
    batch_percent: int | None = None
    """Of these prices, what calls in a batch cost. None: unknown."""
    picture: int | None = None
    pictures: tuple[PicturePrice, ...] = ()
    heard_hour: int | None = None
    characters: int | None = None


class Deployment(Struct, frozen=True, gc=False):
    """A model at one provider. ``model`` is the name that the provider knows.

    ``region`` is where it computes, in the tenant's words. None and empty: not known, and calls
    are not kept from it for that. ``abilities`` are those beyond the model's own: ``vision``,
    ``audio``, ``files``, ``tools``, ``json_schema``, ``reasoning``. ``based_on``: which model it
    is, where ``model`` does not say; ``quirks`` is ``declared`` of ``contract.quirks.quirks_of``.
    """

    id: str
    provider_id: str
    model: str
    weight: int = 1
    prices: Prices = Prices()
    later_prices: tuple[Prices, ...] = ()
    """What replaces them, each from its ``since`` on, in that order."""
    priority: int = 1
    region: str = ""
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    abilities: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    based_on: str = ""
    quirks: dict[str, str] = {}


class AIModel(Struct, frozen=True, gc=False):
    """A public model name, offered through the ``ai`` APIs in ``api_ids``."""

    id: str
    name: str
    api_ids: tuple[str, ...]
    deployments: tuple[Deployment, ...]
    created: int = 0
    """Unix time in seconds, as ``/v1/models`` reports it."""
    abilities: tuple[str, ...] = ("chat",)
    """Of ``chat``, ``embeddings``, ``images``, ``speech``, ``transcription``, ``moderation`` and
    ``rerank``."""
    routing: Routing = Routing()


class PromptMessage(Struct, frozen=True, gc=False):
    role: Literal["system", "user", "assistant"]
    template: str
    """Text with ``{{ name }}`` where a variable goes."""


class PromptVariable(Struct, frozen=True, gc=False):
    name: str
    required: bool = True
    default: str = ""
    max_length: int = 20_000
    """Characters."""


class Prompt(Struct, frozen=True, gc=False):
    """The published version of a prompt. ``parameters`` go to the model as they are."""

    id: str
    name: str
    version: int
    version_id: str
    model_id: str
    messages: tuple[PromptMessage, ...]
    variables: tuple[PromptVariable, ...] = ()
    parameters: dict[str, Any] = {}


class TenantSnapshot(Struct, frozen=True, gc=False):
    """``hosts`` are lower-case names without a port. ``version`` only ever grows."""

    format: int
    tenant_id: str
    slug: str
    version: int
    hosts: tuple[str, ...]
    suspended: str | None = None
    """Why the tenant's calls are refused, or None."""
    private_upstreams: bool = False
    """Targets on loopback, private and link-local addresses are allowed."""
    time_zone: str = "UTC"
    """IANA name; calendar days and months of limits begin at its midnight."""
    policies: tuple[Policy, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    apis: tuple[Api, ...] = ()
    plans: tuple[Plan, ...] = ()
    applications: tuple[Application, ...] = ()
    keys: tuple[ApiKey, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    providers: tuple[Provider, ...] = ()
    models: tuple[AIModel, ...] = ()
    prompts: tuple[Prompt, ...] = ()


class SnapshotError(ValueError):
    """A blob that cannot be used; the message says what is wrong and where."""


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(TenantSnapshot)


def encode(snapshot: TenantSnapshot) -> bytes:
    """The same snapshot always gives the same bytes, so a hash tells a change."""
    return _encoder.encode(snapshot)


def decode(blob: bytes) -> TenantSnapshot:
    """Raises SnapshotError for a blob that is damaged or of another format."""
    try:
        snapshot = _decoder.decode(blob)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"The snapshot cannot be read: {error}") from error
    if snapshot.format != FORMAT:
        raise SnapshotError(
            f"The snapshot has format {snapshot.format}, this program reads {FORMAT}."
        )
    return snapshot
