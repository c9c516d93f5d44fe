"""Models that take less, or other words, than the others of their provider.

Sources, November 2026:
- OpenAI: temperature, top_p and logprobs with the effort none only, "Using GPT-5.4, parameter
  compatibility" (https://developers.openai.com/api/docs/guides/latest-model), and Azure's list of
  what is not supported (https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning, which
  also has what is in responses only); which model thinks by default, and which can be kept from it,
  as pydantic-ai found by asking them in July 2026 (https://github.com/pydantic/pydantic-ai,
  profiles/openai.py); ``stop``, penalties and ``logit_bias`` as LiteLLM and the AI SDK leave them
  out; gpt-6 as the AI SDK has it (https://github.com/vercel/ai, packages/openai). Tools of models
  that think: what OpenAI answers, "Function tools with reasoning_effort are not supported for
  gpt-5.6-luna in /v1/chat/completions" (https://github.com/itzcrazykns/vane/issues/1173),
  as of gpt-5.4 on.
- xAI: https://docs.x.ai/docs/guides/reasoning, and what it answered to each model
  (https://github.com/langchain-ai/langchain/pull/38335,
  https://github.com/open-webui/open-webui/issues/21266).
- gpt-oss: the Python client of Fireworks ("only low, medium, high"). Groq: recorded requests, and
  the AI SDK (packages/groq). DeepSeek: https://api-docs.deepseek.com/guides/thinking_mode.
  Z.ai: efforts "only supported by GLM-5.2 and above". Cerebras: recorded requests.
"""

from __future__ import annotations

from typing import Literal

from contract.quirks import Family, Quirks, Rule

_Responses = Literal["", "tools", "only"]

_STEERS: dict[str, Rule] = {
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "logit_bias": "drop",
}
_SAMPLES: dict[str, Rule] = {
    "temperature": "drop",
    "top_p": "drop",
    "logprobs": "refuse",
    "top_logprobs": "refuse",
}
_LATER = {"max_tokens": "max_completion_tokens"}
_FEW, _MORE = ("low", "medium", "high"), ("low", "medium", "high", "xhigh")
_WRITES = Quirks(lacks={"reasoning_effort": "drop", "verbosity": "drop"})
_SEARCHES: dict[str, Rule] = {
    **_STEERS,
    "temperature": "drop",
    "top_p": "drop",
    "seed": "drop",
    "n": "refuse",
    "stop": "refuse",
    "logprobs": "refuse",
    "top_logprobs": "refuse",
}


def _always(*efforts: str, responses: _Responses = "", **lacks: Rule) -> Quirks:
    """Takes nothing that steers the choice of words, whether it thinks or not."""
    return Quirks(
        lacks={**_STEERS, **_SAMPLES, **lacks},
        renames=_LATER,
        efforts=efforts,
        responses=responses,
    )


def _may(*efforts: str, thinks: bool, responses: _Responses = "") -> Quirks:
    """Does not think at the effort ``none``, and then takes what the others take."""
    return Quirks(
        lacks={**_STEERS, "stop": "refuse"},
        lacks_thinking=_SAMPLES,
        renames=_LATER,
        efforts=("none", *efforts),
        thinks=thinks,
        responses=responses,
    )


def _later(*efforts: str) -> Quirks:
    return _always(*efforts, responses="tools", stop="refuse", prompt_cache_retention="drop")


OPENAI = (
    Family(r"gpt-4o.*-search", Quirks(lacks={**_WRITES.lacks, "temperature": "drop"})),
    Family(r"gpt-5.*search", Quirks(lacks=_SEARCHES, renames=_LATER)),
    Family(r"gpt-[34]|chatgpt|gpt-5-chat", _WRITES),
    Family(r"o[13]-pro", _always(*_FEW, responses="only", verbosity="drop")),
    Family(r"codex-mini", _always(*_FEW, responses="only", verbosity="drop")),
    Family(r"o1|o3-mini", _always(*_FEW, parallel_tool_calls="drop", verbosity="drop")),
    Family(r"o\d", _always(*_FEW, stop="refuse", parallel_tool_calls="drop", verbosity="drop")),
    Family(r"gpt-5(\.\d+)?-chat", _always("medium", stop="refuse")),
    Family(r"gpt-5-pro", _always("high", responses="only")),
    Family(r"gpt-5\.\d+-pro", _always("medium", "high", "xhigh", responses="only")),
    Family(r"gpt-5-codex|gpt-5\.1-codex(?!-max)", _always(*_FEW, responses="only")),
    Family(r"gpt-5\.1-codex-max", _always(*_MORE, responses="only")),
    Family(r"gpt-5\.\d+-codex", _may(*_MORE, thinks=False, responses="only")),
    Family(r"gpt-5\.1", _may(*_FEW, thinks=False)),
    Family(r"gpt-5\.[23]", _may(*_MORE, thinks=False)),
    Family(r"gpt-5\.4", _may(*_MORE, thinks=False, responses="tools")),
    Family(r"gpt-5\.5", _may(*_MORE, thinks=True, responses="tools")),
    Family(r"gpt-5\.", _may(*_MORE, "max", thinks=True, responses="tools")),
    Family(r"gpt-5", _always("minimal", *_FEW, stop="refuse")),
    Family(r"gpt-6(\.\d+)?-(sol|luna)", _later("none", *_MORE, "max")),
    Family(r"gpt-[6-9]", _later(*_MORE, "max")),
)
"""At Azure and at GitHub too. The first that fits counts."""

GPT_OSS = Family(r"gpt-oss", Quirks(efforts=_FEW))

GROQ = (
    GPT_OSS,
    Family(r"qwen3-32b", Quirks(efforts=("none", "default"))),
    Family(r"llama|gemma|kimi|allam", Quirks(lacks={"reasoning_effort": "drop"})),
)

CEREBRAS = (GPT_OSS, Family(r"zai-glm", Quirks(efforts=("none",))))

XAI = (
    Family(r"grok-3-mini", Quirks(lacks={"stop": "refuse"}, efforts=("low", "high"))),
    Family(r"grok.*non-reasoning", Quirks(lacks={"reasoning_effort": "drop"})),
    Family(r"grok-4\.20-multi-agent", Quirks(lacks={"stop": "refuse"}, efforts=_MORE)),
    Family(
        r"grok-([23]|code|4(-|$|\.20|\.1))",
        Quirks(lacks={"stop": "refuse", "reasoning_effort": "drop"}),
    ),
    Family(r"grok", Quirks(lacks={"stop": "refuse"}, efforts=("none", *_FEW))),
)

DEEPSEEK = (
    Family(r"deepseek-chat", Quirks(thinks=False)),
    Family(
        r"deepseek-reasoner",
        Quirks(lacks_thinking={"logprobs": "refuse", "top_logprobs": "refuse"}),
    ),
)

ZAI = (Family(r"glm-(4|5($|-|\.[01]))", Quirks(lacks={"reasoning_effort": "drop"})),)
