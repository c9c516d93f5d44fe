"""Where each kind of provider is called, and how it knows us."""

from typing import get_args, get_type_hints

import pytest

from contract.presets import PRESETS, address_of
from contract.snapshot import Provider
from proxy.ai.compiled import Destination
from proxy.ai.formats.embedding.registry import EMBEDDINGS
from proxy.ai.providers import WIRE_FORMATS


def destination(preset, base_url="", credential="secret-1", **settings):
    kind = PRESETS[preset]
    address = base_url or address_of(kind, settings) or "https://example.com/v1"
    provider = Provider("p", "P", kind.wire_format, address, preset=preset, settings=settings)
    return Destination(provider, credential)


def called(to, operation="chat", model="m", *, stream=False):
    spoken = to.wire.speaks(to, operation)[0]
    return to.wire.path(to, operation, spoken, model, stream=stream).decode()


@pytest.mark.parametrize(
    ("preset", "told", "model", "stream", "host", "path"),
    [
        ("openai", {}, "gpt", False, "api.openai.com", "/v1/chat/completions"),
        ("perplexity", {}, "sonar", True, "api.perplexity.ai", "/chat/completions"),
        ("anthropic", {}, "claude", True, "api.anthropic.com", "/v1/messages"),
        (
            "gemini",
            {},
            "gemini-2.5-pro",
            True,
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        (
            "vertex",
            {"project": "mine", "location": "europe-west4"},
            "gemini-2.5-pro",
            False,
            "europe-west4-aiplatform.googleapis.com",
            "/v1beta1/projects/mine/locations/europe-west4/publishers/google/models/gemini-2.5-pro"
            ":generateContent",
        ),
        (
            "vertex",
            {"project": "mine", "location": "global"},
            "meta/llama-4",
            False,
            "aiplatform.googleapis.com",
            "/v1beta1/projects/mine/locations/global/publishers/meta/models/llama-4"
            ":generateContent",
        ),
        (
            "bedrock",
            {"region": "eu-central-1"},
            "anthropic.claude-3-v1:0",
            True,
            "bedrock-runtime.eu-central-1.amazonaws.com",
            "/model/anthropic.claude-3-v1%3A0/converse-stream",
        ),
        ("cohere", {}, "command", False, "api.cohere.com", "/v2/chat"),
    ],
)
def test_a_chat_is_sent_where_the_providers_reference_says(preset, told, model, stream, host, path):
    to = destination(preset, **told)
    assert to.target.host == host
    assert called(to, model=model, stream=stream) == path


def test_azure_has_two_kinds_of_addresses():
    old = destination("azure", "https://mine.openai.azure.com", api_version="2025-01-01")
    assert called(old, model="my gpt") == (
        "/openai/deployments/my%20gpt/chat/completions?api-version=2025-01-01"
    )
    new = destination("azure", "https://mine.openai.azure.com/openai/v1")
    assert called(new) == "/openai/v1/chat/completions"
    assert new.wire.speaks(new, "chat") == ("chat", "responses")
    assert old.wire.speaks(old, "chat") == ("chat",)


@pytest.mark.parametrize(
    ("preset", "name", "value"),
    [
        ("openai", b"authorization", b"Bearer secret-1"),
        ("azure", b"api-key", b"secret-1"),
        ("anthropic", b"x-api-key", b"secret-1"),
        ("gemini", b"x-goog-api-key", b"secret-1"),
        ("vertex", b"authorization", b"Bearer secret-1"),
        ("bedrock", b"authorization", b"Bearer secret-1"),
        ("cohere", b"authorization", b"Bearer secret-1"),
    ],
)
def test_the_provider_is_shown_our_credential_and_nothing_of_the_client(preset, name, value):
    to = destination(preset, project="p", location="l", region="r")
    client = {
        b"authorization": b"Bearer theirs",
        b"x-api-key": b"theirs",
        b"x-goog-api-key": b"theirs",
        b"cookie": b"theirs",
        b"x-forwarded-for": b"10.0.0.1",
        b"user-agent": b"sdk/1",
    }
    sent = to.wire.headers(to, client, b"/", b"{}")
    assert (name, value) in sent
    assert not any(b"theirs" in value or b"10.0.0.1" in value for _, value in sent)
    assert dict(sent)[b"content-type"] == b"application/json"


def test_each_wire_format_of_the_contract_has_its_module_and_each_preset_its_wire_format():
    assert set(WIRE_FORMATS) == set(get_args(get_type_hints(Provider)["wire_format"]))
    assert {preset.wire_format for preset in PRESETS.values()} == set(WIRE_FORMATS)


def test_every_preset_says_what_it_embeds_with_in_a_known_format():
    for name in PRESETS:
        to = destination(name, project="p", location="l", region="r")
        assert set(to.wire.speaks(to, "embeddings")) <= set(EMBEDDINGS), name
