"""Alice's and Charlie's tenants, as snapshots."""

from __future__ import annotations

from msgspec.structs import replace

from contract import keys
from contract.policies import BodyLimit, Limit
from contract.routing import (
    Condition,
    Headroom,
    LeastBusy,
    LowestCost,
    LowestLatency,
    Priority,
    Routing,
    Rule,
)
from contract.secrets import Sealer, provider_context
from contract.snapshot import (
    FORMAT,
    AIModel,
    Api,
    ApiKey,
    Application,
    Deployment,
    PicturePrice,
    Plan,
    Prices,
    Prompt,
    PromptMessage,
    PromptVariable,
    Provider,
    Subscription,
    TenantSnapshot,
)

SECRET = "a-secret-of-the-tests-of-forty-characters"
PROVIDER_KEY = "sk-the-tenants-own"
ALICE, OTHER, BUDGET, MONEY, LIMITED, FEW, CHARLIE = (keys.new_api_key() for _ in range(7))
"""OTHER is of another application of Alice's, BUDGET of one that may use 3,000 tokens, and MONEY of
one that may spend 0.015 dollars and then asks the model gpt."""
PRICES = Prices(input=2_500_000, output=10_000_000)


def model(name: str, *deployments: tuple[str, str], api: str = "ai", **options) -> AIModel:
    """``deployments``: provider and the name it knows the model by."""
    return AIModel(
        id=f"model-{name}",
        name=name,
        api_ids=(api,),
        created=1_700_000_000,
        deployments=tuple(
            Deployment(id=f"{name}-{index}", provider_id=id_, model=real, prices=PRICES)
            for index, (id_, real) in enumerate(deployments)
        ),
        **options,
    )


def _prompt(name: str, model: str, *messages: tuple[str, str], variables=(), **options):
    return Prompt(
        id=f"prompt-{name}",
        name=name,
        version=3,
        version_id=f"{name}-3",
        model_id=f"model-{model}",
        messages=tuple(PromptMessage(role, text) for role, text in messages),
        variables=tuple(variables),
        **options,
    )


LANGUAGE = PromptVariable("language", required=False, default="German", max_length=20)
TEXT = PromptVariable("text", max_length=200)


RULES = Routing(
    rules=(
        Rule("gold", (Condition("header", "is", ("gold",), "x-tier"),), ("ruled-1",)),
        Rule("blue", (Condition("metadata", "is", ("blue",), "team"),), ("ruled-1",)),
        Rule("long", (Condition("prompt_tokens", "at_least", ("5000",)),), ("ruled-1",)),
        Rule("german", (Condition("language", "is", ("de",)),), ("ruled-1",)),
        Rule("code", (Condition("content", "is", ("code",)),), ("ruled-1",)),
        Rule(
            "weather",
            (Condition("similarity", "like", ("What is the weather in London today?",), least=60),),
            ("ruled-1",),
        ),
    )
)


def _prompts() -> tuple[Prompt, ...]:
    instruction = ("system", "Tell the sentiment of the user's text.")
    translate = ("system", "Translate the user's text into {{ language }}.")
    text = ("user", "{{ text }}")
    json = {"response_format": {"type": "json_object"}, "temperature": 0}
    return (
        _prompt("sentiment", "chat", instruction, text, variables=[TEXT], parameters=json),
        _prompt("translate", "chat", translate, text, variables=[LANGUAGE, TEXT]),
        _prompt("scripted", "gpt", translate, text, variables=[LANGUAGE, TEXT]),
        _prompt("scripted-json", "gpt", text, variables=[TEXT], parameters=json),
        _prompt("refused", "chat", text, variables=[TEXT]),
        _prompt("carried", "carried", text, variables=[TEXT]),
    )


def alice(urls: dict[str, str]) -> TenantSnapshot:
    sealed = Sealer(SECRET).seal(PROVIDER_KEY, provider_context("alice"))
    prompts = _prompts()
    apis = [
        Api("ai", "AI", "ai", "/v1"),
        Api("waiting", "AI in waiting", "ai", "/v1"),
        Api("closed", "AI for others", "ai", "/v1"),
        Api("small", "AI for short questions", "ai", "/v1", policies=(BodyLimit(1000),)),
        *(Api(f"api-{p.name}", p.name, "prompt", f"/p/{p.name}", prompt_id=p.id) for p in prompts),
    ]
    approved = {"ai", "small", *(f"api-{p.name}" for p in prompts if p.name != "refused")}
    return TenantSnapshot(
        format=FORMAT,
        tenant_id="alice",
        slug="alice",
        version=1,
        hosts=("alice.localhost",),
        private_upstreams=True,
        apis=tuple(apis),
        plans=(Plan("free", "Free"), Plan("tiny", "Tiny", (Limit("calls", 2, 60),))),
        applications=(
            Application("app", "App"),
            Application("other", "Other"),
            Application("budget", "Budget", (Limit("tokens", 3000, 3600),)),
            Application(
                "money",
                "Money",
                (Limit("cost", 15_000, 3600, then="cheaper", fallback="model-gpt"),),
            ),
            Application("limited", "Limited"),
            Application("few", "Few"),
        ),
        keys=(
            ApiKey("key", keys.digest(ALICE), "app"),
            ApiKey("other-key", keys.digest(OTHER), "other"),
            ApiKey("budget-key", keys.digest(BUDGET), "budget"),
            ApiKey("money-key", keys.digest(MONEY), "money"),
            ApiKey("few-key", keys.digest(FEW), "few"),
            ApiKey("limited-key", keys.digest(LIMITED), "limited"),
        ),
        subscriptions=(
            *(Subscription(f"s-{id_}", "app", id_, "free", "approved") for id_ in approved),
            Subscription("s-other", "other", "ai", "free", "approved"),
            Subscription("s-budget", "budget", "ai", "free", "approved"),
            Subscription("s-money", "money", "ai", "free", "approved"),
            Subscription("s-waiting", "app", "waiting", "free", "pending"),
            Subscription("s-few", "few", "ai", "tiny", "approved"),
            Subscription("s-limited", "limited", "ai", "tiny", "approved"),
        ),
        providers=(
            *(
                Provider(
                    name,
                    f"Provider {name}",
                    "openai",
                    f"{url}/v1",
                    credential=None if name == "sandbox" else sealed,
                )
                for name, url in urls.items()
            ),
            *(
                Provider(f"{wire}-1", f"Provider {wire}", wire, urls["first"], credential=sealed)
                for wire in ("anthropic", "gemini", "vertex", "bedrock", "cohere")
            ),
            *(
                Provider(
                    f"{kind}-1",
                    f"Provider {kind}",
                    "openai",
                    f"{urls['first']}/v1",
                    credential=sealed,
                    preset=kind,
                )
                for kind in ("mistral", "voyage", "together")
            ),
            Provider(
                "openai-1",
                "OpenAI",
                "openai",
                f"{urls['first']}/v1",
                credential=sealed,
                preset="openai",
            ),
            *(
                Provider(
                    f"{preset}-1",
                    f"Provider {preset}",
                    "openai",
                    f"{urls['first']}/v1",
                    credential=sealed,
                    preset=preset,
                )
                for preset in ("deepseek", "openrouter", "mistral", "groq", *KINDS)
            ),
            Provider(
                "azure-1",
                "Azure",
                "azure",
                f"{urls['first']}/openai/v1",
                credential=sealed,
                preset="azure",
            ),
            *keepers(urls, sealed),
        ),
        models=(
            *_of_kinds(),
            model("chat", ("sandbox", "sandbox-chat")),
            model("sandbox-chat", ("sandbox", "sandbox-chat")),
            model("embedder", ("sandbox", "sandbox-embedding"), abilities=("embeddings",)),
            model("gpt", ("first", "gpt-real")),
            model("same", ("first", "same")),
            model("both", ("first", "real-1"), ("second", "real-2")),
            model("down", ("down", "any")),
            model("down-then-up", ("down", "any"), ("second", "real-2")),
            *_routed(),
            model("claude", ("anthropic-1", "claude-real")),
            model("claude-then-gpt", ("anthropic-1", "claude-real"), ("second", "gpt-real")),
            model("gemini", ("gemini-1", "gemini-real")),
            model("gemini-at-vertex", ("vertex-1", "gemini-real")),
            model("gpt-at-openai", ("openai-1", "gpt-real")),
            model("deepseek", ("deepseek-1", "deepseek-real")),
            model("mistral", ("mistral-1", "mistral-real")),
            model("groq", ("groq-1", "groq-real")),
            model("claude-at-openrouter", ("openrouter-1", "claude-real")),
            model("counted-second", ("second", "gpt-real"), ("anthropic-1", "claude-real")),
            _batched("batched", ("first", "gpt-real")),
            _batched("batched-second", ("second", "gpt-second")),
            _batched("batched-claude", ("anthropic-1", "claude-real")),
            _batched("batched-gemini", ("gemini-1", "gemini-real")),
            model("nova", ("bedrock-1", "nova-real:0")),
            model("claude-at-bedrock", ("bedrock-1", "anthropic.claude-sonnet-4-5-v1:0")),
            model("command", ("cohere-1", "command-real")),
            model("vectors", ("first", "vectors-real"), abilities=("embeddings",)),
            model("vectors-at-mistral", ("mistral-1", "embed-real"), abilities=("embeddings",)),
            model("vectors-at-voyage", ("voyage-1", "voyage-3.5"), abilities=("embeddings",)),
            *_media(),
            *_billed_apart(),
            model("waiting", ("first", "x"), api="waiting"),
            model("closed", ("first", "x"), api="closed"),
            model("small", ("first", "x"), api="small"),
            *kept(),
        ),
        prompts=prompts,
    )


KINDS = ("xai", "fireworks", "cerebras", "perplexity", "ollama", "vllm", "github", "zai")
"""Of providers that speak OpenAI's format, besides those that are named elsewhere."""
OF_KINDS = {
    "openai-1": (
        *("gpt-4o", "gpt-5", "gpt-5.2", "gpt-5.5", "gpt-5.6-luna", "o3", "o3-mini", "gpt-5-pro"),
        *("gpt-5.1-codex", "gpt-6-sol"),
    ),
    "github-1": ("openai/gpt-5",),
    "azure-1": ("gpt-5-mini",),
    "groq-1": ("openai/gpt-oss-120b", "qwen/qwen3-32b", "llama-3.3-70b-versatile"),
    "mistral-1": ("mistral-small-latest",),
    "deepseek-1": ("deepseek-v4-pro", "deepseek-chat"),
    "xai-1": ("grok-4", "grok-4.3", "grok-4-fast-non-reasoning", "grok-3-mini"),
    "openrouter-1": ("openai/gpt-5",),
    "ollama-1": ("qwen3",),
    "vllm-1": ("openai/gpt-oss-20b", "qwen3"),
    "fireworks-1": ("accounts/fireworks/models/glm-5",),
    "cerebras-1": ("zai-glm-4.7", "gpt-oss-120b"),
    "perplexity-1": ("sonar-pro",),
    "zai-1": ("glm-4.6", "glm-5.2"),
}


def _of_kinds() -> tuple[AIModel, ...]:
    """By provider and the name that it knows, like ``xai/grok-4``."""
    made = [
        model(f"{place.removesuffix('-1')}/{name.rpartition('/')[2]}", (place, name))
        for place, names in OF_KINDS.items()
        for name in names
    ]
    own = {
        "prod-at-azure": ("azure-1", {"based_on": "gpt-5"}),
        "mistral-at-azure": ("azure-1", {"quirks": {"max_completion_tokens": "max_tokens"}}),
        "declared": ("first", {"quirks": {"top_p": "drop", "stop": "refuse"}}),
        "sent-at-groq": ("groq-1", {"quirks": {"brand_new": "send", "logprobs": "send"}}),
    }
    for name, (place, options) in own.items():
        plain = model(name, (place, "real"))
        made.append(replace(plain, deployments=(replace(plain.deployments[0], **options),)))
    dropping = Routing(unsupported="drop")
    return (
        *made,
        model("gpt-5-mini", ("openai-1", "gpt-5-mini")),
        model("drops-at-deepseek", ("deepseek-1", "deepseek-v4-pro"), routing=dropping),
    )


def _media() -> tuple[AIModel, ...]:
    """Models that do other things than write."""
    ranks = Prices(input=50_000, output=0, search=2_000_000)
    ranking = {
        "ranks": ("cohere-1", "rerank-v3.5"),
        "rerank-v3.5": ("cohere-1", "rerank-v3.5"),
        "ranks-at-jina": ("together-1", "rerank-real"),
        "ranks-at-voyage": ("voyage-1", "rerank-2"),
        "ranks-at-bedrock": ("bedrock-1", "cohere.rerank-v3-5:0"),
        "ranks-at-openai": ("openai-1", "none"),
    }
    others = {
        "paints": ("images", ("gemini-1", "gemini-2.5-flash-image")),
        "paints-at-vertex": ("images", ("vertex-1", "gemini-2.5-flash-image")),
        "imagines": ("images", ("gemini-1", "imagen-4.0-generate-001")),
        "imagines-at-vertex": ("images", ("vertex-1", "imagen-4.0-generate-001")),
        "paints-at-openai": ("images", ("openai-1", "gpt-image-real")),
        "paints-at-claude": ("images", ("anthropic-1", "none")),
        "speaks": ("speech", ("gemini-1", "gemini-tts-real")),
        "speaks-at-vertex": ("speech", ("vertex-1", "gemini-tts-real")),
        "hears": ("transcription", ("gemini-1", "gemini-real")),
        "hears-at-vertex": ("transcription", ("vertex-1", "gemini-real")),
        "hears-at-openai": ("transcription", ("openai-1", "transcribe-real")),
        "hears-at-claude": ("transcription", ("anthropic-1", "none")),
        "judges": ("moderation", ("mistral-1", "mistral-moderation-latest")),
        "judges-at-openai": ("moderation", ("openai-1", "omni-real")),
        "judges-at-cohere": ("moderation", ("cohere-1", "none")),
    }
    made = Prices(1_000_000, 2_000_000, output_image=30_000_000, output_audio=20_000_000)
    return (
        *(
            embedder(name, place, prices=ranks, abilities=("rerank",))
            for name, place in ranking.items()
        ),
        *(
            embedder(name, place, prices=made, abilities=(ability,))
            for name, (ability, place) in others.items()
        ),
    )


DRAWN = (
    PicturePrice("1024x1024", "standard", 40_000),
    PicturePrice("1024x1024", "hd", 80_000),
    PicturePrice("1024x1792", "", 120_000),
)


def _billed_apart() -> tuple[AIModel, ...]:
    """Models that are billed otherwise than by the token."""
    openai, imagen = ("openai-1", "made-real"), ("gemini-1", "imagen-4.0-generate-001")
    both = Prices(input=5_000_000, pictures=DRAWN)
    others = {
        "draws": ("images", openai, Prices(pictures=DRAWN)),
        "draws-anything": ("images", openai, Prices(picture=200_000, pictures=DRAWN)),
        "draws-for-tokens-too": ("images", openai, both),
        "imagines-for-money": ("images", imagen, Prices(picture=40_000)),
        "hears-by-the-hour": ("transcription", openai, Prices(heard_hour=360_000)),
        "hears-cheaply": ("transcription", openai, Prices(heard_hour=111_000)),
        "speaks-by-the-character": ("speech", openai, Prices(characters=15_000_000)),
    }
    return tuple(
        embedder(name, place, prices=prices, abilities=(ability,))
        for name, (ability, place, prices) in others.items()
    )


def _batched(name: str, *places: tuple[str, str]) -> AIModel:
    plain = model(name, *places)
    half = replace(PRICES, batch_percent=50)
    return replace(plain, deployments=tuple(replace(d, prices=half) for d in plain.deployments))


def _routed() -> tuple[AIModel, ...]:
    """Models at the first and the second provider, between which the gateway chooses."""
    first, second = ("first", "dear"), ("second", "cheap")
    return (
        _varied("cheapest", first, second, prices=Prices(1_000, 1_000), strategy=LowestCost()),
        _varied("prior", first, second, priority=2, strategy=Priority()),
        _varied("in-europe", first, second, region="eu", regions=("EU",)),
        _varied("some-see", first, second, abilities=("vision", "tools"), blind=True),
        _varied("limited", first, second, strategy=Priority()),
        model("turns", first, second),
        model("falls-back", ("down", "any"), routing=Routing(fallbacks=("model-gpt",))),
        model("ruled", first, second, routing=RULES),
        *_explained(),
        *_sized(),
        *_carried(),
        *_compared(),
        *_meant(),
    )


def _explained() -> tuple[AIModel, ...]:
    """Models of which every choice has another reason."""
    first, second = ("first", "dear"), ("second", "cheap")
    ruled = tuple(
        Rule(name, (condition,), (f"by-rules-{index}",))
        for name, index, condition in (
            ("lang", 1, Condition("language", "is_not", ("en", "de", ""))),
            ("same app", 1, Condition("application", "is", ("app",))),
            ("other", 1, Condition("application", "contains", ("the",))),
            ("hard", 1, Condition("complexity", "at_least", ("50",))),
            ("streams", 1, Condition("stream", "is", ("true",))),
            ("ours", 0, Condition("application", "is_not", ("Other", "Money"))),
        )
    )
    return (
        _varied("quick", first, second, strategy=LowestLatency("first_token", 10, 0)),
        _varied("writes", first, second, strategy=LowestLatency("tokens_per_second", 10, 0)),
        _varied("explores", first, second, strategy=LowestLatency("first_token", 10, 1)),
        _varied("idle", first, second, strategy=LeastBusy()),
        _varied("room", first, second, strategy=Headroom()),
        _varied("metered", first, second, strategy=Priority(), priority=0, requests_per_minute=1),
        _varied("short", first, second, context_tokens=100),
        model("by-rules", first, second, routing=Routing(rules=ruled)),
        model("nowhere", first, routing=Routing(regions=("EU", "US"), fallbacks=("model-gpt",))),
    )


def _sized() -> tuple[AIModel, ...]:
    """Models whose deployments have room for 8,000 tokens, and a fallback for more."""
    places = (("first", "small"), ("second", "smaller"))
    routing = Routing(strategy=Priority(), fallbacks=("model-roomy",))
    sized = model("sized", *places, routing=routing)
    first, second = sized.deployments
    first = replace(first, context_tokens=8000, priority=1)
    second = replace(second, context_tokens=4000, priority=2)
    roomy = model("roomy", ("second", "roomy-real"))
    return (
        replace(sized, deployments=(first, second)),
        replace(
            model("sized-alone", *places, routing=Routing(strategy=Priority())),
            deployments=tuple(replace(one, id=f"alone-{one.id}") for one in (first, second)),
        ),
        replace(roomy, deployments=(replace(roomy.deployments[0], context_tokens=100_000),)),
        *(
            _varied(name, *places, priority=2, strategy=Priority())
            for name in ("unsized", "meted", *(f"gone-{index}" for index in range(6)))
        ),
    )


def _compared() -> tuple[AIModel, ...]:
    """Models whose calls are compared with others: what the dear one charges is ten times as much
    as PRICES say."""
    first, second = ("first", "small"), ("second", "large")
    dear = {"prices": Prices(25_000_000, 100_000_000), "strategy": Priority()}
    easy = Rule("easy", (Condition("complexity", "at_most", ("40",)),), (), "model-gpt")
    euros = _varied("in-euros", first, second, prices=Prices(1, 1, "EUR"))
    return (
        _varied("large", second, second, **dear),
        model("to-the-small", second, routing=Routing(rules=(easy,), compare_with="model-large")),
        _varied("own-dearest", first, second, **dear, compare_with="model-own-dearest"),
        _varied("dear-itself", first, second, **dear, compare_with="model-gpt", priority=0),
        replace(euros, deployments=euros.deployments[1:]),
        model("saves-nothing-known", first, routing=Routing(compare_with="model-in-euros")),
        model("compared-with-none", first, routing=Routing(compare_with="model-gone")),
    )


WEATHER = ("What is the weather in London today?", "Tell me the forecast.")
EMBEDDING = Prices(input=100_000)


def by_meaning(name: str, embedder: str, examples=WEATHER, *places) -> AIModel:
    """Where the question means the weather, the second deployment is asked."""
    alike = Condition("similarity", "like", examples, least=70, embedding_model=embedder)
    rule = Rule("weather", (alike,), (f"{name}-1",))
    places = places or (("first", "dear"), ("second", "cheap"))
    return model(name, *places, routing=Routing(rules=(rule,)))


def embedder(
    name: str,
    *places: tuple[str, str],
    api: str = "ai",
    prices=EMBEDDING,
    abilities=("embeddings",),
) -> AIModel:
    plain = model(name, *places, abilities=abilities, api=api)
    return replace(
        plain,
        deployments=tuple(
            replace(one, prices=prices, priority=index)
            for index, one in enumerate(plain.deployments)
        ),
    )


def _meant() -> tuple[AIModel, ...]:
    down, third = ("down", "any"), ("third", "embed-real")
    stays = Rule("always", (Condition("stream", "is", ("false",)),), model_id="model-meant")
    return (
        embedder("third-embedder", third),
        embedder("embedder-in-euros", third, prices=Prices(1, currency="EUR")),
        embedder("either-embedder", down, third),
        embedder("down-embedder", down),
        embedder("gemini-embedder", ("gemini-1", "embed-real")),
        embedder("cohere-embedder", ("cohere-1", "embed-real")),
        embedder("claude-embedder", ("anthropic-1", "none")),
        by_meaning("meant", "third-embedder"),
        by_meaning("meant-in-euros", "embedder-in-euros"),
        by_meaning("meant-by-either", "either-embedder"),
        by_meaning("meant-by-none", "down-embedder"),
        by_meaning("meant-by-gemini", "gemini-embedder"),
        by_meaning("meant-by-cohere", "cohere-embedder"),
        by_meaning("meant-by-claude", "claude-embedder"),
        by_meaning("meant-by-charlies", "charlies-embedder"),
        by_meaning("meant-by-chat", "gpt"),
        by_meaning("meant-by-sandbox", "embedder"),
        model("leads-to-meant", ("first", "dear"), routing=Routing(rules=(stays,))),
        model("falls-to-meant", down, routing=Routing(fallbacks=("model-meant",))),
    )


def _carried() -> tuple[AIModel, ...]:
    """Models whose streams are carried on: the second deployment costs ten times as much."""
    first, second, claude = ("first", "dear"), ("second", "other"), ("anthropic-1", "claude-real")
    nova = ("bedrock-1", "nova-real")
    dear = Prices(25_000_000, 100_000_000)
    both = {"strategy": Priority(), "on_break": "continue", "priority": 2, "prices": dear}
    both["compare_with"] = "model-large"
    return (
        _varied("carried", first, second, **both),
        _varied("carried-by-claude", second, claude, **both),
        _varied("claude-carried", claude, second, **both),
        _varied("all-claude", claude, claude, **both),
        _varied("carried-by-gemini", first, ("gemini-1", "gemini-real"), **both),
        _varied("carried-by-bedrock", first, nova, **both),
        _varied("bedrock-carried", nova, second, **both),
        _varied("all-bedrock", nova, nova, **both),
        _varied("carried-in-euros", first, second, **both | {"prices": Prices(1, 1, "EUR")}),
        model("carried-alone", first, routing=Routing(on_break="continue")),
    )


def _varied(name: str, *places: tuple[str, str], blind: bool = False, **options) -> AIModel:
    """The second deployment has what ``options`` say, but for the model's routing."""
    own = ("strategy", "regions", "on_break", "compare_with")
    routing = {key: options.pop(key) for key in own if key in options}
    plain = model(name, *places, routing=Routing(**routing))
    first, second = plain.deployments
    if blind:
        first = replace(first, abilities=("tools",))
    return replace(plain, deployments=(first, replace(second, **options)))


ACCOUNTS = (("account-1", "real-1"), ("account-2", "real-2"))


def keepers(urls: dict[str, str], sealed: bytes | None) -> tuple[Provider, ...]:
    """Accounts that keep responses, and take no batches, whose lists they would be asked for."""
    return tuple(
        Provider(
            f"account-{number}",
            f"Account {number}",
            "openai",
            f"{urls[name]}/v1",
            credential=sealed,
            preset="openrouter",
        )
        for number, name in enumerate(("first", "second", "third"), start=1)
    )


def kept() -> tuple[AIModel, ...]:
    """Models whose providers keep responses, the first of them in two accounts."""
    one, two = ACCOUNTS
    gold = Rule("gold", (Condition("header", "is", ("gold",), "x-tier"),), (), "model-kept-golden")
    ruled = Routing(strategy=Priority(), rules=(gold,), fallbacks=("model-kept-spare",))
    return (
        model("kept", one, two),
        model("kept-alone", one),
        model("kept-mini", ("account-1", "mini-1"), ("account-2", "mini-2")),
        model("kept-ruled", one, routing=ruled),
        model("kept-golden", ("account-2", "golden")),
        model("kept-spare", ("third", "chat-only"), ("account-3", "spare")),
        model("kept-anywhere", one, two, ("account-3", "real-3")),
        model("kept-or-dropped", one, two, routing=Routing(unsupported="drop")),
        _varied("kept-short", one, two, priority=0, strategy=Priority(), context_tokens=100),
        _varied("kept-carried", one, two, strategy=Priority(), on_break="continue", priority=2),
        model("kept-counted", ("openai-1", "counts"), two),
    )


def charlie(urls: dict[str, str]) -> TenantSnapshot:
    prompt = _prompt("charlies", "charlies", ("user", "{{ text }}"), variables=[TEXT])
    return TenantSnapshot(
        format=FORMAT,
        tenant_id="charlie",
        slug="charlie",
        version=1,
        hosts=("charlie.localhost",),
        private_upstreams=True,
        apis=(
            Api("charlie-ai", "AI", "ai", "/v1"),
            Api("charlie-p", "Prompt", "prompt", "/p/charlies", prompt_id=prompt.id),
        ),
        plans=(Plan("charlie-free", "Free"),),
        applications=(Application("charlie-app", "App"),),
        keys=(ApiKey("charlie-key", keys.digest(CHARLIE), "charlie-app"),),
        subscriptions=(
            Subscription("c1", "charlie-app", "charlie-ai", "charlie-free", "approved"),
            Subscription("c2", "charlie-app", "charlie-p", "charlie-free", "approved"),
        ),
        providers=(
            Provider("sandbox-c", "Sandbox", "openai", f"{urls['sandbox']}/v1"),
            Provider("third", "Provider third", "openai", f"{urls['third']}/v1"),
            Provider("first", "Provider first", "openai", f"{urls['first']}/v1"),
            Provider("second", "Provider second", "openai", f"{urls['second']}/v1"),
            Provider("first-c", "First", "openai", f"{urls['first']}/v1"),
            *keepers(urls, None),
        ),
        models=(
            model("charlies", ("sandbox-c", "sandbox-chat"), api="charlie-ai"),
            embedder("third-embedder", ("third", "embed-real"), api="charlie-ai"),
            embedder("charlies-embedder", ("third", "embed-real"), api="charlie-ai"),
            replace(by_meaning("meant", "third-embedder"), api_ids=("charlie-ai",)),
            model("charlies-gpt", ("first-c", "gpt-real"), api="charlie-ai"),
            replace(kept()[0], api_ids=("charlie-ai",)),
        ),
        prompts=(prompt,),
    )
