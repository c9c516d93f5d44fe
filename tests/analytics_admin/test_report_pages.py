"""Reports and alerts in admin and in the management API: what they show, and to whom."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.utils import timezone

from analytics import reports
from analytics.alerts.evaluate import evaluate
from analytics.alerts.rules import save_rule
from analytics.models import AlertEvent, AlertRule, TrendReport
from catalog.models import Api
from tests.analytics.usage import happen

SECRET = "a webhook secret that nobody sees"
HOOK = "https://hooks.example.org/services/T0/B1/secret-path"
RULE = {
    "name": "Too many failures",
    "enabled": "on",
    "metric": "error_rate",
    "threshold": "5",
    "currency": "USD",
    "window_minutes": "10",
    "min_calls": "20",
    "for_minutes": "0",
    "api_id": "",
    "application_id": "",
    "emails": "ops@example.org, dev@example.org",
    "webhook_url": HOOK,
    "new_secret": SECRET,
}


def _watched(tenant: Any) -> SimpleNamespace:
    """A report with calls, a rule that fired, and its event."""
    now = timezone.now().replace(second=0, microsecond=0)
    yesterday = now.date() - timedelta(days=1)
    with tenant:
        api = Api.objects.create(name=f"Orders of {tenant.name}", listen_path="/orders")
        rule = AlertRule(
            name=f"Watch of {tenant.name}",
            metric="error_rate",
            threshold=5,
            webhook_url=HOOK,
            emails=["ops@example.org"],
        )
        rule = save_rule(rule=rule, tenant=tenant, secret=SECRET)
    noon = datetime(yesterday.year, yesterday.month, yesterday.day, 12, tzinfo=UTC)
    happen(tenant, noon, 6, api_id=api.pk, cost_micros=2_000_000, currency="EUR", input_tokens=3)
    happen(tenant, now - timedelta(minutes=2), 20, status=502)
    report = reports.write(tenant, "daily", yesterday)
    event = evaluate(rule, at=now)
    rule.refresh_from_db()
    return SimpleNamespace(report=report, rule=rule, event=event, api=api)


@pytest.fixture
def watched(alice_tenant: Any) -> SimpleNamespace:
    return _watched(alice_tenant)


@pytest.fixture
def theirs(charlie_tenant: Any) -> SimpleNamespace:
    return _watched(charlie_tenant)


def page(model: str, *parts: object) -> str:
    return "/admin/analytics/" + "/".join([model, *map(str, parts)]) + "/"


def test_the_lists_and_pages_show_what_is_kept(
    client_for: Any, alice_tenant: Any, alice: Any, watched: Any
) -> None:
    client = client_for(alice_tenant, alice)
    listed = client.get(page("trendreport")).content.decode()
    assert str(watched.report) in listed
    shown = client.get(page("trendreport", watched.report.pk, "change"))
    assert shown.status_code == 200
    html = shown.content.decode()
    assert "Orders of Alice" in html
    assert "12.00 EUR" in html
    assert 'id="report-charts"' in html
    assert [card["value"] for card in shown.context["cards"]][:2] == ["6", "0.0 %"]
    assert "5xx above 5 % in 5 min" in client.get(page("alertrule")).content.decode()
    html = client.get(page("alertrule", watched.rule.pk, "change")).content.decode()
    assert "100 % of 20 calls failed" in html
    assert "100 % of 20 calls failed" in client.get(page("alertevent")).content.decode()
    assert client.get(page("alertevent", watched.event.pk, "change")).status_code == 200


def test_a_report_as_a_file(client_for: Any, alice_tenant: Any, alice: Any, watched: Any) -> None:
    answer = client_for(alice_tenant, alice).get(page("trendreport", watched.report.pk, "csv"))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(StringIO(answer.content.decode())))
    assert [line["name"] for line in lines] == ["", "Orders of Alice"]


def test_a_rule_is_made_changed_and_deleted(
    client_for: Any, alice_tenant: Any, alice: Any, settings: Any
) -> None:
    client = client_for(alice_tenant, alice)
    assert client.post(page("alertrule", "add"), RULE).status_code == 302
    rule = AlertRule.objects.get()
    assert (rule.tenant_id, rule.emails) == (
        alice_tenant.pk,
        ["ops@example.org", "dev@example.org"],
    )
    assert rule.signed
    url = page("alertrule", rule.pk, "change")
    html = client.get(url).content.decode()
    assert SECRET not in html
    assert client.post(url, RULE | {"threshold": "7.5", "new_secret": ""}).status_code == 302
    rule.refresh_from_db()
    assert (rule.threshold, rule.signed) == (7.5, True)
    assert client.post(page("alertrule", rule.pk, "delete"), {"post": "yes"}).status_code == 302
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"threshold": ""}, "threshold"),
        ({"emails": "nobody"}, "emails"),
        ({"webhook_url": "ftp://x.example"}, "webhook_url"),
        ({"new_secret": "short"}, "new_secret"),
        ({"api_id": str(uuid4())}, "api_id"),
    ],
)
def test_a_refused_rule_says_why_at_its_field(
    client_for: Any, alice_tenant: Any, alice: Any, changes: dict, field: str
) -> None:
    answer = client_for(alice_tenant, alice).post(page("alertrule", "add"), RULE | changes)
    assert answer.status_code == 200
    assert set(answer.context["adminform"].form.errors) == {field}
    assert not AlertRule.objects.exists()


def test_the_test_button_tells_the_outcome(
    client_for: Any, alice_tenant: Any, alice: Any, watched: Any, tier: Any
) -> None:
    tier.private_upstreams = False
    tier.save()
    AlertRule.objects.update(webhook_url="http://127.0.0.1:9/", webhook_secret=None)
    client = client_for(alice_tenant, alice)
    url = page("alertrule", watched.rule.pk, "test")
    assert client.get(url).status_code == 200
    assert mail.outbox == []
    html = client.post(url, {}, follow=True).content.decode()
    assert "Sent to ops@example.org." in html
    assert "which your account tier does not allow" in html
    assert len(mail.outbox) == 1


def test_those_who_only_look(client_for: Any, alice_tenant: Any, bob: Any, watched: Any) -> None:
    client = client_for(alice_tenant, bob)  # a publisher
    html = client.get(page("alertrule", watched.rule.pk, "change")).content.decode()
    assert "hooks.example.org" in html
    assert "secret-path" not in html
    assert client.post(page("alertrule", "add"), RULE).status_code == 403
    for path in ("change", "delete", "test"):
        assert client.post(page("alertrule", watched.rule.pk, path), RULE).status_code == 403
    assert AlertRule.objects.get(pk=watched.rule.pk).threshold == 5
    assert mail.outbox == []


def test_reports_and_events_cannot_be_written(
    client_for: Any, alice_tenant: Any, alice: Any, watched: Any
) -> None:
    client = client_for(alice_tenant, alice)
    for model, row in (("trendreport", watched.report), ("alertevent", watched.event)):
        assert client.post(page(model, "add"), {}).status_code == 403
        assert client.post(page(model, row.pk, "delete"), {"post": "yes"}).status_code == 403
    assert TrendReport.objects.count() == AlertEvent.objects.count() == 1


def test_anothers_pages_are_not_there(
    client_for: Any, alice_tenant: Any, alice: Any, theirs: Any
) -> None:
    client = client_for(alice_tenant, alice)
    addresses = [
        page("trendreport", theirs.report.pk, "change"),
        page("trendreport", theirs.report.pk, "csv"),
        page("alertrule", theirs.rule.pk, "change"),
        page("alertrule", theirs.rule.pk, "delete"),
        page("alertrule", theirs.rule.pk, "history"),
        page("alertrule", theirs.rule.pk, "test"),
        page("alertevent", theirs.event.pk, "change"),
    ]
    for url in addresses:
        assert client.get(url).status_code == 404, url
    for url in addresses[2:6]:
        assert client.post(url, RULE | {"post": "yes"}).status_code in (404, 405), url
    for model in ("trendreport", "alertrule", "alertevent"):
        assert "Charlie" not in client.get(page(model)).content.decode()
        assert str(theirs.rule.pk) not in client.get(page(model)).content.decode()
    body = RULE | {"api_id": str(theirs.api.pk)}
    refused = client.post(page("alertrule", "add"), body)
    assert set(refused.context["adminform"].form.errors) == {"api_id"}
    assert AlertRule.objects.get().name == "Watch of Charlie"
    assert mail.outbox == []


USAGE = "/api/usage"


def test_reports_through_the_api(
    api_client: Any, alice_tenant: Any, alice: Any, watched: Any
) -> None:
    client = api_client(alice_tenant, alice)
    (brief,) = client.get(f"{USAGE}/reports/?kind=daily").json()["results"]
    assert brief["id"] == str(watched.report.pk)
    assert "body" not in brief
    whole = client.get(f"{USAGE}/reports/{watched.report.pk}/").json()
    assert whole["body"]["totals"]["this"]["calls"] == 6
    assert whole["body"]["totals"]["this"]["cost"] == {"EUR": 12_000_000}
    answer = client.get(f"{USAGE}/reports/{watched.report.pk}.csv")
    assert "Orders of Alice" in answer.content.decode()
    assert client.get(f"{USAGE}/reports/?kind=weekly").json()["count"] == 0
    assert client.post(f"{USAGE}/reports/", {}).status_code in (403, 405)


def test_rules_through_the_api(api_client: Any, alice_tenant: Any, alice: Any) -> None:
    client = api_client(alice_tenant, alice)
    body = {
        "name": "Dear",
        "metric": "cost",
        "threshold": 10,
        "currency": "EUR",
        "window_minutes": 1440,
        "emails": ["ops@example.org"],
        "webhook_url": HOOK,
        "webhook_secret": SECRET,
    }
    made = client.post(f"{USAGE}/alerts/", body)
    assert made.status_code == 201
    rule = made.json()
    assert (rule["signed"], rule["webhook_url"], rule["state"]) == (True, HOOK, "ok")
    assert "webhook_secret" not in rule
    url = f"{USAGE}/alerts/{rule['id']}/"
    assert client.patch(url, {"threshold": 12}).json()["threshold"] == 12
    refused = client.patch(url, {"threshold": None})
    assert refused.status_code == 400
    assert set(refused.json()["errors"]) == {"threshold"}
    assert client.patch(url, {"webhook_url": ""}).json()["signed"] is False
    assert client.post(f"{url}test/").json() == [
        {"channel": "email", "delivered": True, "text": "Sent to ops@example.org."}
    ]
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


def test_events_through_the_api(
    api_client: Any, alice_tenant: Any, alice: Any, watched: Any
) -> None:
    client = api_client(alice_tenant, alice)
    (event,) = client.get(f"{USAGE}/alert-events/?rule_id={watched.rule.pk}").json()["results"]
    assert (event["state"], event["value"], event["rule"]) == (
        "firing",
        100,
        str(watched.rule.pk),
    )
    assert [row["channel"] for row in event["deliveries"]] == ["email", "webhook"]
    assert client.get(f"{USAGE}/alert-events/{watched.event.pk}/").status_code == 200


def test_publishers_and_viewers_read_only_through_the_api(
    api_client: Any, alice_tenant: Any, bob: Any, member: Any, watched: Any
) -> None:
    for user in (bob, member(alice_tenant, "viewer", "vera")):
        client = api_client(alice_tenant, user)
        url = f"{USAGE}/alerts/{watched.rule.pk}/"
        assert client.get(url).json()["webhook_url"] == ""
        answers = [
            client.post(f"{USAGE}/alerts/", {"name": "x", "metric": "silence"}),
            client.patch(url, {"threshold": 1}),
            client.delete(url),
            client.post(f"{url}test/"),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4


def test_anothers_are_out_of_the_apis_reach(
    api_client: Any, alice_tenant: Any, alice: Any, charlie: Any, theirs: Any
) -> None:
    client = api_client(alice_tenant, alice)
    for path in ("reports/", "alerts/", "alert-events/"):
        assert client.get(f"{USAGE}/{path}").json()["count"] == 0
    for path in (
        f"reports/{theirs.report.pk}/",
        f"reports/{theirs.report.pk}.csv",
        f"alerts/{theirs.rule.pk}/",
        f"alert-events/{theirs.event.pk}/",
    ):
        assert client.get(f"{USAGE}/{path}").status_code == 404
    url = f"{USAGE}/alerts/{theirs.rule.pk}/"
    assert client.patch(url, {"threshold": 1}).status_code == 404
    assert client.delete(url).status_code == 404
    assert client.post(f"{url}test/").status_code == 404
    body = {"name": "x", "metric": "silence", "api_id": str(theirs.api.pk)}
    assert client.post(f"{USAGE}/alerts/", body).status_code == 400
    assert AlertRule.objects.get().threshold == 5
    assert api_client(alice_tenant).get(f"{USAGE}/alerts/").status_code == 401
