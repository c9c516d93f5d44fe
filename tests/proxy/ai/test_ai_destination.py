import pytest

from contract.snapshot import Provider, SnapshotError
from proxy.ai.compiled import Destination


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
    path = made.wire.path
    assert path(made, "chat", "chat", "m", stream=False) == chat
    wanted = chat.replace(b"chat/completions", b"embeddings")
    assert path(made, "embeddings", "embeddings", "m", stream=False) == wanted


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


def authorization(credential):
    made = destination("https://host", credential)
    return dict(made.wire.headers(made, {}, b"/", b"")).get(b"authorization")


def test_the_credential_becomes_a_bearer_token():
    assert authorization("sk-1") == b"Bearer sk-1"
    assert authorization(None) is None


def test_a_credential_that_cannot_be_a_header_is_left_out():
    assert authorization("sk-1\r\nx: y") is None
    assert authorization("sk-ä") is None
    assert authorization(" sk-1\n") == b"Bearer sk-1"
