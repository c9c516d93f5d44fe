"""Alert rules: when they fire, when they resolve, and who hears of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.utils import timezone

from analytics.alerts import deliver, webhook
from analytics.alerts.evaluate import evaluate, evaluate_all
from analytics.alerts.rules import delete_rule, save_rule
from analytics.models import AlertDelivery, AlertEvent, AlertRule, RollupMinute
from analytics.retention import forget
from analytics.tasks import evaluate_alerts
from catalog.models import Api, Application
from config.celery import app
from tenants.models import Tenant
from tests.analytics.usage import happen

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
SECRET = "a secret of thirty-two characters"


def minute(number: int) -> datetime:
    return NOW + timedelta(minutes=number)


@pytest.fixture(autouse=True)
def _at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roll-ups of minutes are kept for days only, so queries must believe that it is then."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def rule(in_alice: Any) -> AlertRule:
    """More than 10 % of at least 10 calls in 5 minutes fail."""
    row = AlertRule(
        name="Failing", metric="error_rate", threshold=10, min_calls=10, emails=["a@example.org"]
    )
    return save_rule(rule=row, tenant=in_alice)


@pytest.fixture
def api(in_alice: Any) -> Api:
    return Api.objects.create(name="Orders", listen_path="/orders")


@pytest.fixture
def application(in_alice: Any) -> Application:
    return Application.objects.create(name="Shop")


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A webhook's receiver on loopback: keeps what it gets, answers with ``statuses`` in turn."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append((self.path, dict(self.headers), body))
            self.send_response(server.statuses.pop(0) if server.statuses else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.statuses = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/hook?from=hubpo"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def tasks_at_once() -> Iterator[None]:
    """Tasks run where they are sent, and are tried again without waiting."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def states(rule: AlertRule) -> list[tuple[str, datetime]]:
    return list(rule.events.order_by("at").values_list("state", "at"))


def test_it_fires_once_and_resolves_once(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 18)
    happen(in_alice, minute(0), 2, status=502)
    for number in range(1, 12):
        evaluate(rule, at=minute(number))
    assert states(rule) == []  # 10 % is not above 10 %
    happen(in_alice, minute(12), 17)
    happen(in_alice, minute(12), 3, status=502)
    for number in range(13, 25):
        evaluate(rule, at=minute(number))
    assert states(rule) == [("firing", minute(13)), ("resolved", minute(18))]
    fired, resolved = rule.events.order_by("at")
    assert (fired.value, fired.threshold, resolved.value) == (15.0, 10, None)
    assert fired.text == ("15 % of 20 calls failed in the last 5 minutes; the threshold is 10 %.")


def test_a_minute_is_decided_once_whoever_repeats_it(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 20, status=502)
    sent: list[int] = []
    for _ in range(3):
        evaluate_all(minute(1) + timedelta(seconds=7), sent.append)
        evaluate(AlertRule.objects.get(pk=rule.pk), at=minute(1))
    evaluate(rule, at=minute(0))  # a run that is late decides nothing any more
    assert states(rule) == [("firing", minute(1))]
    assert AlertDelivery.objects.count() == 1


def test_it_resolves_a_tenth_below_the_threshold(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 88)
    happen(in_alice, minute(0), 12, status=500)
    evaluate(rule, at=minute(1))
    happen(in_alice, minute(6), 905)
    happen(in_alice, minute(6), 95, status=500)
    evaluate(rule, at=minute(7))
    assert [state for state, _ in states(rule)] == ["firing"]  # 9.5 % is not yet calm
    happen(in_alice, minute(12), 91)
    happen(in_alice, minute(12), 9, status=500)
    evaluate(rule, at=minute(13))
    assert [state for state, _ in states(rule)] == ["firing", "resolved"]


def test_too_few_calls_say_nothing(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 9, status=502)
    evaluate(rule, at=minute(1))
    assert states(rule) == []
    happen(in_alice, minute(0), 1, status=502)
    evaluate(rule, at=minute(2))
    assert states(rule) == [("firing", minute(2))]


def test_it_may_have_to_last(rule: AlertRule, in_alice: Any) -> None:
    rule.for_minutes, rule.window_minutes = 3, 1
    save_rule(rule=rule, tenant=in_alice)
    for number in (0, 1, 3, 4, 5, 6):  # calm in the third minute
        happen(in_alice, minute(number), 10, status=502)
    seen = []
    for number in range(1, 8):
        evaluate(rule, at=minute(number))
        rule.refresh_from_db()
        seen.append(rule.state)
    assert seen == ["pending", "pending", "ok", "pending", "pending", "pending", "firing"]
    assert states(rule) == [("firing", minute(7))]


def test_latency(in_alice: Any) -> None:
    row = AlertRule(name="Slow", metric="latency_p95", threshold=500, min_calls=10)
    rule = save_rule(rule=row, tenant=in_alice)
    happen(in_alice, minute(0), 19, total_us=100_000)
    happen(in_alice, minute(0), 1, total_us=900_000)
    evaluate(rule, at=minute(1))
    assert states(rule) == []
    happen(in_alice, minute(1), 1, total_us=900_000)
    evaluate(rule, at=minute(2))
    assert states(rule) == [("firing", minute(2))]
    assert rule.events.get().value == pytest.approx(900, rel=0.05)


def test_cost_in_its_currency(in_alice: Any) -> None:
    row = AlertRule(name="Dear", metric="cost", threshold=2.5, window_minutes=60, currency="EUR")
    rule = save_rule(rule=row, tenant=in_alice)
    happen(in_alice, minute(0), 5, cost_micros=500_000, currency="EUR", input_tokens=1)
    happen(in_alice, minute(0), 5, cost_micros=9_000_000, currency="USD", input_tokens=1)
    evaluate(rule, at=minute(1))
    assert states(rule) == []
    happen(in_alice, minute(1), 1, cost_micros=1, currency="EUR", input_tokens=1)
    evaluate(rule, at=minute(2))
    assert rule.events.get().text == (
        "2.500001 EUR spent in the last 60 minutes; the threshold is 2.5 EUR."
    )


def test_silence_ends_with_the_first_call(in_alice: Any) -> None:
    rule = save_rule(rule=AlertRule(name="Silent", metric="silence", threshold=7), tenant=in_alice)
    assert rule.threshold is None
    happen(in_alice, minute(0))
    for number in range(1, 10):
        evaluate(rule, at=minute(number))
    happen(in_alice, minute(9))
    evaluate(rule, at=minute(10))
    assert states(rule) == [("firing", minute(6)), ("resolved", minute(10))]


def test_it_counts_its_api_and_application_and_no_demo_calls(
    charlie_tenant: Any, in_alice: Any, application: Any, api: Any
) -> None:
    row = AlertRule(name="Silent", metric="silence", api_id=api.pk, application_id=application.pk)
    rule = save_rule(rule=row, tenant=in_alice)
    ours = {"api_id": api.pk, "application_id": application.pk}
    happen(in_alice, minute(0), api_id=api.pk)
    happen(in_alice, minute(0), application_id=application.pk)
    happen(charlie_tenant, minute(0), **ours)
    RollupMinute.objects.create(
        tenant_id=in_alice.pk, start=minute(0), status_class=2, calls=5, demo=True, **ours
    )
    assert evaluate(rule, at=minute(1)).state == "firing"
    happen(in_alice, minute(1), **ours)
    assert evaluate(rule, at=minute(2)).state == "resolved"


def test_disabled_rules_and_suspended_tenants_rest(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 20, status=502)
    Tenant.objects.filter(pk=in_alice.pk).update(state="suspended")
    assert evaluate_all(minute(1), lambda pk: None) == []
    Tenant.objects.filter(pk=in_alice.pk).update(state="active")
    AlertRule.objects.update(enabled=False)
    assert evaluate_all(minute(1), lambda pk: None) == []
    AlertRule.objects.update(enabled=True)
    assert len(evaluate_all(minute(1), lambda pk: None)) == 1


def test_turning_a_rule_off_or_deleting_it_resolves_it(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 20, status=502)
    evaluate(rule, at=minute(1))
    rule.refresh_from_db()
    rule.enabled = False
    save_rule(rule=rule, tenant=in_alice)
    assert [event.text for event in rule.events.filter(state="resolved")] == [
        "The rule was turned off."
    ]
    delete_rule(rule=rule)
    assert AlertEvent.objects.filter(tenant_id=in_alice.pk, rule=None).count() == 2


def test_the_commit_sends_and_mail_arrives(
    rule: AlertRule, in_alice: Any, django_capture_on_commit_callbacks: Any
) -> None:
    happen(in_alice, minute(0), 20, status=502)
    with django_capture_on_commit_callbacks(execute=True):
        evaluate(rule, at=minute(1), send=deliver.deliver)
    (message,) = mail.outbox
    assert message.to == ["a@example.org"]
    assert message.subject == "Alice: Failing (firing)"
    assert "100 % of 20 calls failed" in message.body
    row = AlertDelivery.objects.get()
    assert (row.status, row.attempts, row.outcome) == ("delivered", 1, "Sent to a@example.org.")
    assert deliver.deliver(row.pk) is None  # once it is delivered nothing is sent again
    assert len(mail.outbox) == 1


def with_webhook(rule: AlertRule, tenant: Any, url: str, secret: str | None = SECRET) -> AlertRule:
    rule.emails, rule.webhook_url = [], url
    return save_rule(rule=rule, tenant=tenant, secret=secret)


def test_a_webhook_is_signed(rule: AlertRule, in_alice: Any, receiver: Any) -> None:
    with_webhook(rule, in_alice, receiver.url)
    happen(in_alice, minute(0), 20, status=502)
    event = evaluate(rule, at=minute(1))
    assert deliver.deliver(event.deliveries.get().pk) is None
    ((path, headers, body),) = receiver.got
    assert path == "/hook?from=hubpo"
    assert headers["Host"] == f"127.0.0.1:{receiver.server_port}"
    signed = f"{int(NOW.timestamp())}.".encode() + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Hubpo-Timestamp"] == str(int(NOW.timestamp()))
    assert headers["Hubpo-Signature"] == f"v1={expected}"
    assert json.loads(body) == {
        "id": str(event.pk),
        "type": "alert.firing",
        "at": "2026-03-14T12:01:00+00:00",
        "text": event.text,
        "value": 100.0,
        "tenant": "alice",
        "rule": {
            "id": str(rule.pk),
            "name": "Failing",
            "metric": "error_rate",
            "threshold": 10.0,
            "window_minutes": 5,
        },
    }


def test_a_webhook_is_tried_three_times(rule: AlertRule, in_alice: Any, receiver: Any) -> None:
    with_webhook(rule, in_alice, receiver.url, secret=None)
    happen(in_alice, minute(0), 20, status=502)
    row = evaluate(rule, at=minute(1)).deliveries.get()
    receiver.statuses = [500, 302, 404]
    assert [deliver.deliver(row.pk) for _ in range(4)] == [5, 20, None, None]
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("failed", 3)
    assert row.outcome == "It answered with 404."
    assert len(receiver.got) == 3  # a redirect was not followed
    assert "Hubpo-Signature" not in receiver.got[0][1]


def test_what_waits_too_long_is_taken_up_again(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 20, status=502)
    row = evaluate(rule, at=minute(1)).deliveries.get()
    assert deliver.forgotten(minute(2)) == []
    assert deliver.forgotten(minute(5)) == [row.pk]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://10.0.0.8/x", "http://localhost/"])
def test_private_addresses_need_a_tier_that_allows_them(
    rule: AlertRule, in_alice: Any, tier: Any, url: str
) -> None:
    tier.private_upstreams = False
    tier.save()
    in_alice.refresh_from_db()
    with pytest.raises(ValidationError) as caught:
        with_webhook(rule, in_alice, url)
    assert caught.value.error_dict["webhook_url"][0].code == "private_address"
    with pytest.raises(webhook.NotDelivered, match="private address"):
        webhook.send(url, {}, secret="", private_ok=False, now=NOW)


def test_a_tier_that_changes_its_mind_is_heeded_at_once(
    rule: AlertRule, in_alice: Any, tier: Any, receiver: Any
) -> None:
    with_webhook(rule, in_alice, receiver.url)
    tier.private_upstreams = False
    tier.save()
    (outcome,) = deliver.test(rule)
    assert (outcome.delivered, receiver.got) == (False, [])


def test_a_test_goes_both_ways_and_leaves_nothing(
    rule: AlertRule, in_alice: Any, receiver: Any
) -> None:
    rule.webhook_url = receiver.url
    save_rule(rule=rule, tenant=in_alice, secret=SECRET)
    receiver.statuses = [503]
    by_mail, by_hook = deliver.test(rule)
    assert (by_mail.delivered, by_mail.text) == (True, "Sent to a@example.org.")
    assert (by_hook.delivered, by_hook.text) == (False, "It answered with 503.")
    assert json.loads(receiver.got[0][2])["type"] == "alert.test"
    assert not AlertEvent.objects.exists()
    assert not AlertDelivery.objects.exists()


def test_mail_that_cannot_be_sent_is_tried_again(
    rule: AlertRule, in_alice: Any, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    happen(in_alice, minute(0), 20, status=502)
    row = evaluate(rule, at=minute(1)).deliveries.get()
    assert deliver.deliver(row.pk) == 5
    row.refresh_from_db()
    assert row.outcome.startswith("The mail server could not be used")


def test_secrets_are_sealed_for_their_rule(rule: AlertRule, in_alice: Any, receiver: Any) -> None:
    with_webhook(rule, in_alice, receiver.url)
    assert SECRET.encode() not in bytes(rule.webhook_secret)
    other = AlertRule(name="Other", metric="silence", webhook_url=receiver.url)
    save_rule(rule=other, tenant=in_alice, secret=SECRET)
    AlertRule.objects.filter(pk=other.pk).update(webhook_secret=rule.webhook_secret)
    other.refresh_from_db()
    (outcome,) = deliver.test(other)
    assert (outcome.delivered, receiver.got) == (False, [])
    save_rule(rule=rule, tenant=in_alice)
    assert rule.signed  # not given, so kept
    save_rule(rule=rule, tenant=in_alice, secret="")
    assert not rule.signed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"threshold": None}, "threshold"),
        ({"threshold": 100}, "threshold"),
        ({"threshold": -1}, "threshold"),
        ({"metric": "weather"}, "metric"),
        ({"window_minutes": 0}, "window_minutes"),
        ({"emails": ["nobody"]}, "emails"),
        ({"currency": "usd"}, "currency"),
        ({"webhook_url": "ftp://example.org/"}, "webhook_url"),
        ({"webhook_url": "https://me:pw@example.org/"}, "webhook_url"),
        ({"api_id": uuid4()}, "api_id"),
        ({"name": ""}, "name"),
    ],
)
def test_refused_fields(rule: AlertRule, in_alice: Any, changes: dict, field: str) -> None:
    for name, value in changes.items():
        setattr(rule, name, value)
    with pytest.raises(ValidationError) as caught:
        save_rule(rule=rule, tenant=in_alice)
    assert set(caught.value.error_dict) == {field}


def test_names_are_taken_per_tenant(
    charlie_tenant: Any, rule: AlertRule, alice_tenant: Any
) -> None:
    with pytest.raises(ValidationError):
        save_rule(rule=AlertRule(name="Failing", metric="silence"), tenant=alice_tenant)
    with charlie_tenant:
        save_rule(rule=AlertRule(name="Failing", metric="silence"), tenant=charlie_tenant)


def test_a_purged_tenant_takes_its_alerts_along(rule: AlertRule, in_alice: Any) -> None:
    happen(in_alice, minute(0), 20, status=502)
    evaluate(rule, at=minute(1))
    forget(uuid4())
    assert AlertRule.objects.count() == AlertEvent.objects.count() == 1
    forget(in_alice.pk)
    assert not AlertRule.objects.exists()
    assert not AlertEvent.objects.exists()


def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out between bytes would never end it."""
    monkeypatch.setattr(webhook, "TIMEOUT", 0.5)

    def drip(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer, suppress(OSError):
            while True:
                peer.sendall(b"H")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=drip, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(webhook.NotDelivered, match="No answer in"):
            webhook.send(url, {}, secret="", private_ok=True, now=NOW)
    assert time.monotonic() - began < 3


def test_the_task_of_each_minute(
    rule: AlertRule,
    in_alice: Any,
    receiver: Any,
    tasks_at_once: None,
    django_capture_on_commit_callbacks: Any,
) -> None:
    rule.webhook_url = receiver.url
    save_rule(rule=rule, tenant=in_alice, secret=SECRET)
    receiver.statuses = [500, 500, 200]
    happen(in_alice, minute(-1), 20, status=502)
    with django_capture_on_commit_callbacks(execute=True):
        assert evaluate_alerts() == 1
    by_mail, by_hook = AlertDelivery.objects.order_by("channel")
    assert (by_mail.status, by_mail.attempts) == ("delivered", 1)
    assert (by_hook.status, by_hook.attempts) == ("delivered", 3)
    assert evaluate_alerts() == 0
    assert (len(mail.outbox), len(receiver.got)) == (1, 3)
