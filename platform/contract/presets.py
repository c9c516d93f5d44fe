"""The AI providers that are known by name: where they are, how they are spoken to, what they lack.

A preset fills in a provider's page in the console and tells the gateway its quirks and those of
its models (``contract.quirks``). Source of each: the provider's API reference, November 2026, with
what docs/providers.md names besides; there is also what could not be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from contract import families, known_quirks
from contract.quirks import Family, Quirks, quirks_of

WireFormat = Literal["openai", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere"]


class Setting(Struct, frozen=True):
    """Something that a provider must be told besides address and credential."""

    name: str
    title: str
    help: str = ""
    default: str = ""
    required: bool = True


class Preset(Struct, frozen=True):
    """``library`` is the provider's id in the library of models; empty where it is not in it.

    ``base_url`` may name settings in braces; it is empty where every customer has an address of
    his own.
    """

    name: str
    title: str
    wire_format: WireFormat
    base_url: str = ""
    needs_credential: bool = True
    credential: str = "API key"
    """What the provider calls its secret."""
    library: str = ""
    settings: tuple[Setting, ...] = ()
    quirks: Quirks = Quirks()
    families: tuple[Family, ...] = ()

    def quirks_of(self, model: str, declared: Mapping[str, str]) -> Quirks | None:
        """As ``contract.quirks.quirks_of``."""
        return quirks_of(replace(self.quirks, kind=self.name), self.families, model, declared)


_OPENAI_LIKE = (
    Preset(
        "openai",
        "OpenAI",
        "openai",
        "https://api.openai.com/v1",
        library="openai",
        families=families.OPENAI,
    ),
    Preset(
        "mistral",
        "Mistral",
        "openai",
        "https://api.mistral.ai/v1",
        library="mistral",
        quirks=known_quirks.MISTRAL,
    ),
    Preset(
        "groq",
        "Groq",
        "openai",
        "https://api.groq.com/openai/v1",
        library="groq",
        quirks=known_quirks.GROQ,
        families=families.GROQ,
    ),
    Preset(
        "deepseek",
        "DeepSeek",
        "openai",
        "https://api.deepseek.com/v1",
        library="deepseek",
        quirks=known_quirks.DEEPSEEK,
        families=families.DEEPSEEK,
    ),
    Preset(
        "xai",
        "xAI",
        "openai",
        "https://api.x.ai/v1",
        library="x-ai",
        quirks=known_quirks.XAI,
        families=families.XAI,
    ),
    Preset(
        "openrouter",
        "OpenRouter",
        "openai",
        "https://openrouter.ai/api/v1",
        library="openrouter",
        quirks=known_quirks.OPENROUTER,
    ),
    Preset(
        "together",
        "Together AI",
        "openai",
        "https://api.together.xyz/v1",
        library="together",
        quirks=known_quirks.TOGETHER,
        families=(families.GPT_OSS,),
    ),
    Preset(
        "fireworks",
        "Fireworks AI",
        "openai",
        "https://api.fireworks.ai/inference/v1",
        library="fireworks",
        quirks=known_quirks.FIREWORKS,
        families=(families.GPT_OSS,),
    ),
    Preset(
        "cerebras",
        "Cerebras",
        "openai",
        "https://api.cerebras.ai/v1",
        library="cerebras",
        quirks=known_quirks.CEREBRAS,
        families=families.CEREBRAS,
    ),
    Preset(
        "perplexity",
        "Perplexity",
        "openai",
        "https://api.perplexity.ai",
        library="perplexity",
        quirks=known_quirks.PERPLEXITY,
    ),
    Preset(
        "ollama",
        "Ollama",
        "openai",
        "http://localhost:11434/v1",
        needs_credential=False,
        quirks=known_quirks.OLLAMA,
    ),
    Preset("vllm", "vLLM", "openai", needs_credential=False, families=(families.GPT_OSS,)),
    Preset(
        "huggingface",
        "Hugging Face",
        "openai",
        "https://router.huggingface.co/v1",
        credential="access token",
        library="huggingface_together",
        quirks=known_quirks.HUGGINGFACE,
        families=(families.GPT_OSS,),
    ),
    Preset(
        "nvidia",
        "NVIDIA",
        "openai",
        "https://integrate.api.nvidia.com/v1",
        quirks=known_quirks.NVIDIA,
        families=(families.GPT_OSS,),
    ),
    Preset(
        "github",
        "GitHub Models",
        "openai",
        "https://models.github.ai/inference",
        credential="access token",
        quirks=known_quirks.GITHUB,
        families=families.OPENAI,
    ),
    Preset(
        "sambanova",
        "SambaNova",
        "openai",
        "https://api.sambanova.ai/v1",
        quirks=known_quirks.SAMBANOVA,
        families=(families.GPT_OSS,),
    ),
    Preset(
        "deepinfra",
        "DeepInfra",
        "openai",
        "https://api.deepinfra.com/v1/openai",
        quirks=known_quirks.DEEPINFRA,
        families=(families.GPT_OSS,),
    ),
    Preset(
        "zai",
        "Z.ai",
        "openai",
        "https://api.z.ai/api/paas/v4",
        library="zai",
        quirks=known_quirks.ZAI,
        families=families.ZAI,
    ),
    Preset("jina", "Jina AI", "openai", "https://api.jina.ai/v1"),
    Preset(
        "voyage",
        "Voyage AI",
        "openai",
        "https://api.voyageai.com/v1",
        library="voyageai",
        quirks=known_quirks.VOYAGE,
    ),
    Preset("snowflake", "Snowflake Cortex", "openai", credential="access token"),
    Preset("compatible", "Another that speaks OpenAI's format", "openai"),
)

_OTHERS = (
    Preset(
        "azure",
        "Azure OpenAI",
        "azure",
        library="azure",
        families=families.OPENAI,
        settings=(
            Setting(
                "api_version",
                "API version",
                "Leave empty for addresses that end in /openai/v1.",
                required=False,
            ),
        ),
    ),
    Preset(
        "anthropic",
        "Anthropic",
        "anthropic",
        "https://api.anthropic.com",
        library="anthropic",
    ),
    Preset(
        "gemini",
        "Google Gemini",
        "gemini",
        "https://generativelanguage.googleapis.com",
        library="google",
    ),
    Preset(
        "vertex",
        "Google Vertex AI",
        "vertex",
        "https://{location}-aiplatform.googleapis.com",
        credential="service account key (JSON)",
        library="google",
        settings=(
            Setting("project", "Project"),
            Setting("location", "Location", "Like europe-west4.", default="global"),
        ),
    ),
    Preset(
        "bedrock",
        "Amazon Bedrock",
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        credential="API key, or access key id and secret access key with a colon between",
        library="aws",
        settings=(Setting("region", "Region", "Like eu-central-1."),),
    ),
    Preset("cohere", "Cohere", "cohere", "https://api.cohere.com", library="cohere"),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*_OPENAI_LIKE, *_OTHERS)}


def preset_of(name: str) -> Preset:
    """A provider without a known preset is one that speaks OpenAI's format and lacks nothing."""
    return PRESETS.get(name) or PRESETS["compatible"]


def address_of(preset: Preset, settings: dict[str, str]) -> str:
    """The preset's base address with its settings put in; empty where it has none."""
    known = {setting.name: setting.default for setting in preset.settings} | settings
    # What is called "global" has no place in the name of a host.
    address = preset.base_url.replace(
        "{location}-", "{location}-" * (known.get("location") != "global")
    )
    for name, value in known.items():
        address = address.replace("{" + name + "}", value)
    return address
