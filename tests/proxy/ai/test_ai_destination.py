from typing import get_args, get_type_hints

import pytest

from contract.snapshot import Provider, SnapshotError
from proxy.ai.compiled import Destination
from proxy.ai.providers import WIRE_FORMATS


def destination(base_url, credential=None):
    return Destination(Provider("p", "P", "openai", base_url), credential)


@pytest.mark.parametrize(
    ("base_url", "target", "chat"),
    [
        ("https://api.example.com/v1", ("https", "api.example.com", 443), b"/v1/chat/completions"),
        ("http://127.0.0.1:8090/v1/", ("http", "127.0.0.1", 8090), b"/v1/chat/completions"),
        ("https://[::1]:444", ("https", "::1", 444), b"/chat/completions"),
        ("https://Host/a/b", ("https", "host", 443), b"/a/b/chat/completions"),
    ],
)
def test_a_base_url_becomes_a_target_and_paths(base_url, target, chat):
    made = destination(base_url)
    assert (made.target.scheme, made.target.host, made.target.port) == target
    assert made.chat == chat
    assert made.embeddings == chat.replace(b"chat/completions", b"embeddings")


NO_BASE_URLS = [
    "api.example.com",
    "ftp://host/v1",
    "https://",
    "https://user:pw@host/v1",
    "https://host:99999",
    "https://host:0/v1",
    "https://host/v1?key=x",
    "https://host/v1#x",
    "https://host/a%20b{}",
    "https://host/ä",
    "https://hö.st/v1",
]


@pytest.mark.parametrize("base_url", ["", "https://host/a b", "https://ho st/v1", *NO_BASE_URLS])
def test_what_is_no_base_url_is_refused(base_url):
    with pytest.raises(SnapshotError, match="Provider P"):
        destination(base_url)


def test_the_credential_becomes_a_bearer_token():
    assert destination("https://host", "sk-1").authorization == b"Bearer sk-1"
    assert destination("https://host").authorization is None


def test_a_credential_that_cannot_be_a_header_is_left_out():
    assert destination("https://host", "sk-1\r\nx: y").authorization is None
    assert destination("https://host", "sk-ä").authorization is None
    assert destination("https://host", " sk-1\n").authorization == b"Bearer sk-1"


def test_the_registry_has_every_wire_format_of_the_contract():
    assert set(WIRE_FORMATS) == set(get_args(get_type_hints(Provider)["wire_format"]))
