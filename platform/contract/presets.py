"""The AI providers that are known by name: where they are, how they are spoken to, what they lack.

A preset fills in a provider's page in the console and tells the gateway the quirks: ``lacks`` are
parameters (fields of ``proxy.ai.middle.Request``) that the provider refuses or ignores, with what
is done where a call sets them; ``renames`` are fields of its own wire format that it knows under
another name. Source of each: the provider's API reference, November 2026.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

WireFormat = Literal["openai", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere"]
Rule = Literal["drop", "refuse"]


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
    lacks: dict[str, Rule] = {}
    renames: dict[str, str] = {}


_SAMPLING: dict[str, Rule] = {"logit_bias": "drop", "logprobs": "refuse", "top_logprobs": "refuse"}

_OPENAI_LIKE = (
    Preset("openai", "OpenAI", "openai", "https://api.openai.com/v1", library="openai"),
    Preset(
        "mistral",
        "Mistral",
        "openai",
        "https://api.mistral.ai/v1",
        library="mistral",
        lacks={**_SAMPLING, "user": "drop", "service_tier": "drop", "verbosity": "drop"},
        renames={
            "seed": "random_seed",
            "max_completion_tokens": "max_tokens",
            "stream_options": "",
        },
    ),
    Preset(
        "groq",
        "Groq",
        "openai",
        "https://api.groq.com/openai/v1",
        library="groq",
        lacks={**_SAMPLING, "n": "refuse", "audio": "refuse"},
    ),
    Preset(
        "deepseek",
        "DeepSeek",
        "openai",
        "https://api.deepseek.com/v1",
        library="deepseek",
        lacks={"n": "refuse", "seed": "drop", "logit_bias": "drop", "parallel_tool_calls": "drop"},
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "xai",
        "xAI",
        "openai",
        "https://api.x.ai/v1",
        library="x-ai",
        lacks={"logit_bias": "drop"},
    ),
    Preset(
        "openrouter",
        "OpenRouter",
        "openai",
        "https://openrouter.ai/api/v1",
        library="openrouter",
    ),
    Preset(
        "together",
        "Together AI",
        "openai",
        "https://api.together.xyz/v1",
        library="together",
        lacks={"parallel_tool_calls": "drop", "user": "drop"},
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "fireworks",
        "Fireworks AI",
        "openai",
        "https://api.fireworks.ai/inference/v1",
        library="fireworks",
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "cerebras",
        "Cerebras",
        "openai",
        "https://api.cerebras.ai/v1",
        library="cerebras",
        lacks={
            "n": "refuse",
            "logit_bias": "drop",
            "presence_penalty": "drop",
            "frequency_penalty": "drop",
        },
    ),
    Preset(
        "perplexity",
        "Perplexity",
        "openai",
        "https://api.perplexity.ai",
        library="perplexity",
        lacks={
            **_SAMPLING,
            "n": "refuse",
            "seed": "drop",
            "tools": "refuse",
            "tool_choice": "refuse",
            "parallel_tool_calls": "drop",
            "stop": "drop",
            "user": "drop",
        },
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "ollama",
        "Ollama",
        "openai",
        "http://localhost:11434/v1",
        needs_credential=False,
        lacks={
            "n": "refuse",
            "logit_bias": "drop",
            "user": "drop",
            "parallel_tool_calls": "drop",
            "tool_choice": "drop",
        },
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset("vllm", "vLLM", "openai", needs_credential=False),
    Preset(
        "huggingface",
        "Hugging Face",
        "openai",
        "https://router.huggingface.co/v1",
        credential="access token",
        library="huggingface_together",
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "nvidia",
        "NVIDIA",
        "openai",
        "https://integrate.api.nvidia.com/v1",
        lacks={"n": "refuse", "logit_bias": "drop", "user": "drop"},
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "github",
        "GitHub Models",
        "openai",
        "https://models.github.ai/inference",
        credential="access token",
        lacks={"logit_bias": "drop"},
    ),
    Preset(
        "sambanova",
        "SambaNova",
        "openai",
        "https://api.sambanova.ai/v1",
        lacks={**_SAMPLING, "n": "refuse", "seed": "drop"},
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "deepinfra",
        "DeepInfra",
        "openai",
        "https://api.deepinfra.com/v1/openai",
        renames={"max_completion_tokens": "max_tokens"},
    ),
    Preset(
        "zai",
        "Z.ai",
        "openai",
        "https://api.z.ai/api/paas/v4",
        library="zai",
        lacks={"n": "refuse"},
    ),
    Preset("jina", "Jina AI", "openai", "https://api.jina.ai/v1"),
    Preset(
        "voyage",
        "Voyage AI",
        "openai",
        "https://api.voyageai.com/v1",
        library="voyageai",
        renames={"dimensions": "output_dimension"},
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
