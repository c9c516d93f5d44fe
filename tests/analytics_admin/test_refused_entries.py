"""The operator sees usage that could not be recorded, and has it tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from django.test import Client

from analytics.ingest import Stream, consume
from analytics.models import PoisonEntry, UsageRecord
from contract.keys import USAGE_STREAM
from contract.usage import UsageEvent, encode

LIST = "/admin/analytics/poisonentry/"
NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


@pytest.fixture
def stream(valkey_url: str, settings: Any) -> Stream:
    settings.REDIS_URL = valkey_url
    redis.Redis.from_url(valkey_url).delete(USAGE_STREAM)
    return Stream(valkey_url, "here")


@pytest.fixture
def client(client_for: Callable[..., Client], operator: object) -> Client:
    return client_for("localhost", operator)


def set_aside(body: bytes, reason: str) -> PoisonEntry:
    return PoisonEntry.objects.create(entry_id=f"{len(body)}-1", reason=reason, body=body)


@pytest.mark.django_db
def test_the_operator_reads_what_came_and_why_it_was_refused(client: Client) -> None:
    entry = set_aside(b"\x00garbage<b>", "This is no usage event: malformed")
    listed = client.get(LIST).content.decode()
    assert "This is no usage event: malformed" in listed
    page = client.get(f"{LIST}{entry.pk}/change/").content.decode()
    assert "\\x00garbage&lt;b&gt;" in page


@pytest.mark.django_db
def test_tenants_do_not_see_them(
    client_for: Callable[..., Client], alice_tenant: object, alice: object
) -> None:
    entry = set_aside(b"x", "no event")
    browser = client_for(alice_tenant, alice)
    assert browser.get(LIST).status_code == 404
    assert browser.get(f"{LIST}{entry.pk}/change/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_what_can_be_recorded_by_now_is_and_the_rest_is_set_aside_again(
    client: Client, stream: Stream, public_tenant: object
) -> None:
    event = UsageEvent("1" * 32, int(NOW.timestamp() * 1e6), "a" * 32, "GET", "/x", 200)
    good, bad = set_aside(encode(event), "It is from the future."), set_aside(b"bad", "no event")
    chosen = {"action": "take_again", "_selected_action": [good.pk, bad.pk]}
    page = client.post(LIST, chosen, follow=True)
    assert "2 taken up again" in page.content.decode()
    assert not PoisonEntry.objects.exists()
    assert consume(stream, now=NOW) == 1
    assert UsageRecord.objects.get().path == "/x"
    assert [bytes(one.body) for one in PoisonEntry.objects.all()] == [b"bad"]
    stream.close()
