"""Where mail goes, told from one address."""

from __future__ import annotations

import pytest

from config import env
from config.settings import _mail


def test_without_an_address_mail_is_printed() -> None:
    assert _mail("") == {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}


@pytest.mark.parametrize(
    ("url", "place", "tls", "ssl"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 25), False, False),
        ("smtp+tls://mail.example.org", ("mail.example.org", 587), True, False),
        ("smtps://mail.example.org:4650", ("mail.example.org", 4650), False, True),
    ],
)
def test_the_scheme_says_how_it_is_protected(
    url: str, place: tuple[str, int], tls: bool, ssl: bool
) -> None:
    found = _mail(url)
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == place
    assert (found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (tls, ssl)


def test_a_password_may_hold_anything() -> None:
    found = _mail("smtps://me%40example.org:p%3A%2F%40@mail.example.org")
    assert found["EMAIL_HOST_USER"] == "me@example.org"
    assert found["EMAIL_HOST_PASSWORD"] == "p:/@"


@pytest.mark.parametrize("url", ["mail.example.org", "http://x.example", "smtp://", "smtp://x:y"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(env.EnvError, match="HUBPO_SMTP_URL"):
        _mail(url)
