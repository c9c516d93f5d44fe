"""What providers that speak OpenAI's format lack of it, whatever the model.

Sources, November 2026: each provider's API reference of chat completions; of those that refuse
what they do not know, the fields of their OpenAPI description (Mistral's Python client, models/
chatcompletionrequest.py; https://console.groq.com/docs/api-reference). Besides:
- Mistral: 422 ``extra_forbidden`` for ``store``, ``max_completion_tokens`` and others
  (https://github.com/Gitlawb/openclaude/issues/739).
- Groq: 400 for ``store`` and ``verbosity`` (https://github.com/CherryHQ/cherry-studio/issues/11435);
  tiers: https://console.groq.com/docs/service-tiers.
- DeepSeek: https://api-docs.deepseek.com/guides/thinking_mode; no json_schema and, thinking, no
  forced ``tool_choice`` (pydantic-ai, profiles/openai.py).
- Cerebras: what it answers 400 to (https://inference-docs.cerebras.ai/resources/openai).
- xAI: penalties are refused by every model, at 0 too (https://github.com/miaoxworld/NativeTavern/
  issues/83); ``metadata`` (https://github.com/router-for-me/CLIProxyAPI/issues/5648); Live Search
  is gone from chat completions (LiteLLM, llms/xai).
- Ollama: https://docs.ollama.com/api/openai-compatibility; efforts:
  https://github.com/ollama/ollama/pull/17141.
- Perplexity: its Python client, types/chat/completion_create_params.py.
- OpenRouter takes ``max_tokens`` only (pydantic-ai, providers/openrouter.py).
- The role ``developer``: 400 of DeepSeek (https://github.com/phidatahq/phidata/pull/1763) and of
  Z.ai, no role of Mistral's and Perplexity's descriptions.
- Voyage refuses arguments that it does not know.
"""

from __future__ import annotations

from contract.quirks import Quirks, Rule

_SAMPLING: dict[str, Rule] = {"logit_bias": "drop", "logprobs": "refuse", "top_logprobs": "refuse"}
_OLDER = {"max_completion_tokens": "max_tokens"}

_OF_ALL = (
    *("model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "n"),
    *("response_format", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort"),
    *("presence_penalty", "frequency_penalty"),
)
_MISTRALS = frozenset(
    (
        *_OF_ALL,
        *("random_seed", "metadata", "prediction", "prompt_mode", "guardrails"),
        *("prompt_cache_key", "safe_prompt", "document_image_limit", "document_page_limit"),
    )
)
_GROQS = frozenset(
    (
        *_OF_ALL,
        *("citation_options", "compound_custom", "disable_tool_validation", "documents", "user"),
        *("exclude_domains", "include_domains", "search_settings", "function_call", "functions"),
        *("include_reasoning", "reasoning_format", "max_completion_tokens", "seed"),
        *("service_tier", "stream_options"),
    )
)

MISTRAL = Quirks(
    developer=False,
    lacks={
        **_SAMPLING,
        "user": "drop",
        "service_tier": "drop",
        "verbosity": "drop",
        "audio": "refuse",
        "functions": "refuse",
    },
    renames={"seed": "random_seed", **_OLDER, "stream_options": ""},
    efforts=("none", "high"),
    knows=_MISTRALS,
)
GROQ = Quirks(
    lacks={**_SAMPLING, "n": "refuse", "audio": "refuse"},
    words={"service_tier": {"default": "on_demand", "priority": "performance"}},
    knows=_GROQS,
)
DEEPSEEK = Quirks(
    developer=False,
    lacks={"n": "refuse", "seed": "drop", "logit_bias": "drop", "parallel_tool_calls": "drop"},
    lacks_thinking={
        "temperature": "drop",
        "presence_penalty": "drop",
        "frequency_penalty": "drop",
    },
    renames=_OLDER,
    off="thinking",
    outputs=("text", "json_object"),
    choices_thinking=("auto", "none"),
)
CEREBRAS = Quirks(
    lacks={
        "n": "refuse",
        "logit_bias": "drop",
        "presence_penalty": "drop",
        "frequency_penalty": "drop",
        "parallel_tool_calls": "drop",
        "service_tier": "drop",
    }
)
XAI = Quirks(
    lacks={
        "logit_bias": "drop",
        "presence_penalty": "drop",
        "frequency_penalty": "drop",
        "metadata": "drop",
        "web_search_options": "refuse",
    }
)
PERPLEXITY = Quirks(
    developer=False,
    lacks={
        **_SAMPLING,
        "n": "refuse",
        "seed": "drop",
        "tools": "refuse",
        "tool_choice": "refuse",
        "parallel_tool_calls": "drop",
        "user": "drop",
    },
    renames=_OLDER,
    efforts=("minimal", "low", "medium", "high"),
    outputs=("text", "json_schema", "regex"),
)
OLLAMA = Quirks(
    lacks={
        "n": "refuse",
        "logit_bias": "drop",
        "user": "drop",
        "parallel_tool_calls": "drop",
        "tool_choice": "drop",
    },
    renames=_OLDER,
    efforts=("none", "low", "medium", "high", "max"),
)
ZAI = Quirks(
    developer=False,
    lacks={
        **_SAMPLING,
        "n": "refuse",
        "seed": "drop",
        "presence_penalty": "drop",
        "frequency_penalty": "drop",
        "parallel_tool_calls": "drop",
        "user": "drop",
    },
    renames=_OLDER,
    off="thinking",
    outputs=("text", "json_object"),
    choices=("auto",),
)

OPENROUTER = HUGGINGFACE = DEEPINFRA = Quirks(renames=_OLDER)
TOGETHER = Quirks(lacks={"parallel_tool_calls": "drop", "user": "drop"}, renames=_OLDER)
FIREWORKS = Quirks(words={"reasoning_effort": {"minimal": "low"}})
NVIDIA = Quirks(lacks={"n": "refuse", "logit_bias": "drop", "user": "drop"}, renames=_OLDER)
GITHUB = Quirks(lacks={"logit_bias": "drop"})
SAMBANOVA = Quirks(lacks={**_SAMPLING, "n": "refuse", "seed": "drop"}, renames=_OLDER)
VOYAGE = Quirks(
    lacks={"user": "drop"},
    renames={"dimensions": "output_dimension"},
    words={"encoding_format": {"float": ""}},
)
