"""Keys, and the life of a subscription."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from catalog.models import ApiKey, Application, Plan, Subscription
from catalog.services import access, apis

Status = Subscription.Status


def test_only_the_digest_of_a_key_is_kept(application):
    key, secret = access.issue_key(application=application, name="first")
    assert secret.startswith("hub_")
    assert len(secret) > 30
    row = ApiKey.objects.values().get(pk=key.pk)
    assert bytes(row["digest"]) == sha256(secret.encode()).digest()
    assert secret not in str(row)
    assert secret.startswith(row["prefix"])


def test_a_key_cannot_be_issued_expired(application):
    with pytest.raises(ValidationError) as caught:
        access.issue_key(application=application, expires_at=timezone.now())
    assert "expires_at" in caught.value.message_dict


def test_revoking_twice_keeps_the_first_time(application):
    key, _ = access.issue_key(application=application)
    first = access.revoke_key(key=key).revoked_at
    assert access.revoke_key(key=key).revoked_at == first
    assert not key.__class__.objects.get(pk=key.pk).active


def test_rotating_replaces_a_key_at_once(application):
    old, secret = access.issue_key(application=application, name="first")
    new, other = access.rotate_key(key=old)
    old.refresh_from_db()
    assert not old.active
    assert new.active
    assert (new.name, new.application) == ("first", application)
    assert other != secret


def test_rotating_with_grace_lets_the_old_key_work_on_but_never_longer_than_before(application):
    soon = timezone.now() + timedelta(minutes=1)
    old, _ = access.issue_key(application=application, expires_at=soon)
    access.rotate_key(key=old, grace=timedelta(hours=1))
    old.refresh_from_db()
    assert old.active
    assert old.expires_at == soon


def test_a_revoked_key_cannot_be_rotated(application):
    key, _ = access.issue_key(application=application)
    access.revoke_key(key=key)
    with pytest.raises(ValidationError, match="Create a new one"):
        access.rotate_key(key=key)
    assert ApiKey.objects.count() == 1


def test_a_request_waits_for_approval_and_each_step_is_recorded(subscription, alice, bob):
    assert subscription.status == Status.PENDING
    access.approve_subscription(subscription=subscription, actor=bob, reason="Known")
    access.revoke_subscription(subscription=subscription, actor=alice, reason="Left")
    subscription.refresh_from_db()
    assert subscription.status == Status.REVOKED
    steps = subscription.events.values_list("action", "actor_name", "reason")
    assert list(steps) == [
        ("request", "alice", "For the shop"),
        ("approve", "bob", "Known"),
        ("revoke", "alice", "Left"),
    ]


def test_a_plan_without_approval_approves_at_once(application, api, alice):
    plan = access.save_plan(plan=Plan(name="Open", needs_approval=False))
    row = access.request_subscription(application=application, api=api, plan=plan, actor=alice)
    assert row.status == Status.APPROVED
    assert [event.actor for event in row.events.all()] == [alice, None]


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("pending", ["revoke"]),
        ("approved", ["approve", "reject"]),
        ("rejected", ["approve", "reject", "revoke"]),
        ("revoked", ["approve", "reject", "revoke"]),
    ],
)
def test_no_step_is_taken_from_the_wrong_status(subscription, alice, status, refused):
    Subscription.objects.update(status=status)
    for step in refused:
        service = getattr(access, f"{step}_subscription")
        with pytest.raises(ValidationError) as caught:
            service(subscription=subscription, actor=alice)
        assert caught.value.code == "transition"
    subscription.refresh_from_db()
    assert subscription.status == status
    assert subscription.events.count() == 1


def test_an_application_has_one_open_subscription_to_an_api(subscription, alice):
    again = {
        "application": subscription.application,
        "api": subscription.api,
        "plan": subscription.plan,
    }
    with pytest.raises(ValidationError, match="already has a subscription to Orders that is pend"):
        access.request_subscription(**again)
    access.reject_subscription(subscription=subscription, actor=alice)
    assert access.request_subscription(**again).status == Status.PENDING


def test_what_is_not_offered_cannot_be_subscribed_to(application, api, plan):
    apis.retire_api(api=api)
    plan.enabled = application.enabled = False
    with pytest.raises(ValidationError) as caught:
        access.request_subscription(application=application, api=api, plan=plan)
    assert set(caught.value.message_dict) == {"application", "api", "plan"}


def test_the_tier_limits_applications(alice_tenant, tier, application):
    tier.max_applications = 1
    tier.save()
    with pytest.raises(ValidationError) as caught:
        access.save_application(application=Application(name="Second"))
    assert caught.value.code == "tier_limit"
    assert "Delete one" in caught.value.message
    application.name = "Renamed"
    access.save_application(application=application)
    assert Application.objects.get().name == "Renamed"
