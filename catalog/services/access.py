"""Applications, their keys, plans, and subscriptions with their approval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from catalog import named_applications
from catalog.models import (
    Api,
    ApiKey,
    Application,
    Limit,
    Plan,
    Subscription,
    SubscriptionEvent,
)
from catalog.services import publishing, rows, tiers
from catalog.services.limits import kind_of
from contract import keys
from tenants.models import User

Action = SubscriptionEvent.Action
Status = Subscription.Status

# action -> (status it needs, status it gives)
_TRANSITIONS = {
    Action.APPROVE: (Status.PENDING, Status.APPROVED),
    Action.REJECT: (Status.PENDING, Status.REJECTED),
    Action.REVOKE: (Status.APPROVED, Status.REVOKED),
}


@transaction.atomic
def save_application(*, application: Application) -> Application:
    """Saves it. Raises ValidationError ``tier_limit`` where it would be one too many."""
    if application._state.adding:
        tiers.check_application_count(application)
    return rows.save(row=application)


@transaction.atomic
def delete_application(*, application: Application) -> None:
    """Deletes it with its keys and subscriptions. Raises ProtectedError where a model's rule names
    it."""
    if rules := set(named_applications.naming(application)):
        raise ProtectedError("Rules name it.", rules)
    rows.delete(row=application)


@transaction.atomic
def save_plan(*, plan: Plan, limits: Sequence[Limit] | None = None) -> Plan:
    """Saves it, and makes ``limits`` its limits; None leaves them as they are."""
    plan.full_clean()
    plan.save()
    if limits is not None:
        rows.replace_children(plan.limits, limits, name="limits", key=kind_of)
    publishing.changed()
    return plan


@transaction.atomic
def issue_key(
    *, application: Application, name: str = "", expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is told here and never again."""
    if expires_at is not None and expires_at <= timezone.now():
        message = "The key would be expired already: choose a time to come, or none."
        raise ValidationError({"expires_at": ValidationError(message, code="in_the_past")})
    secret = keys.new_api_key()
    key = ApiKey(
        application=application,
        name=name,
        prefix=secret[:12],
        digest=keys.digest(secret),
        expires_at=expires_at,
    )
    return rows.save(row=key), secret


@transaction.atomic
def revoke_key(*, key: ApiKey) -> ApiKey:
    """The key is refused from now on. Revoking it twice changes nothing."""
    key = ApiKey.objects.select_for_update().get(pk=key.pk)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        rows.save(row=key)
    return key


@transaction.atomic
def rotate_key(*, key: ApiKey, grace: timedelta = timedelta(0)) -> tuple[ApiKey, str]:
    """A new key of the same name and its secret; the old one works for ``grace`` longer.

    Raises ValidationError ``inactive`` for a key that is revoked or expired.
    """
    key = (
        ApiKey.objects.select_for_update(of=("self",)).select_related("application").get(pk=key.pk)
    )
    now = timezone.now()
    if not key.active:
        message = "This key is revoked or expired. Create a new one instead."
        raise ValidationError(message, code="inactive")
    if grace < timedelta(0):
        message = "The time that the old key still works cannot be negative."
        raise ValidationError({"grace": ValidationError(message, code="negative")})
    if grace:
        key.expires_at = min(now + grace, key.expires_at or now + grace)
    else:
        key.revoked_at = now
    rows.save(row=key)
    return issue_key(application=key.application, name=key.name)


@transaction.atomic
def request_subscription(
    *, application: Application, api: Api, plan: Plan, actor: User | None = None, reason: str = ""
) -> Subscription:
    """Asks for an application's use of an API; approved at once where the plan says so.

    Raises ValidationError for an API that is not published, a plan that takes nobody, and
    an application that has a subscription to this API pending or approved.
    """
    # One request at a time for each application, so that the check below holds.
    Application.objects.select_for_update(no_key=True).get(pk=application.pk)
    _check_request(application, api, plan)
    subscription = Subscription(application=application, api=api, plan=plan)
    rows.save(row=subscription)
    _record(subscription, Action.REQUEST, actor, reason)
    if plan.needs_approval:
        return subscription
    return approve_subscription(
        subscription=subscription, actor=None, reason="The plan needs no approval."
    )


def _check_request(application: Application, api: Api, plan: Plan) -> None:
    errors = {}
    if api.state != Api.State.PUBLISHED:
        message = f"{api} is not published, so it takes no subscriptions."
        errors["api"] = ValidationError(message, code="not_published")
    if not plan.enabled:
        message = f"{plan} takes no new subscriptions: choose another plan."
        errors["plan"] = ValidationError(message, code="disabled")
    if not application.enabled:
        message = f"{application} is switched off: switch it on first."
        errors["application"] = ValidationError(message, code="disabled")
    if errors:
        raise ValidationError(errors)
    open_one = application.subscriptions.filter(
        api=api, status__in=[Status.PENDING, Status.APPROVED]
    ).first()
    if open_one is not None:
        raise ValidationError(
            f"{application} already has a subscription to {api} that is "
            f"{open_one.get_status_display().lower()}.",
            code="open_subscription",
        )


def approve_subscription(
    *, subscription: Subscription, actor: User | None, reason: str = ""
) -> Subscription:
    """Pending to approved: the application's calls are answered from now on."""
    return _decide(subscription, Action.APPROVE, actor, reason)


def reject_subscription(
    *, subscription: Subscription, actor: User | None, reason: str = ""
) -> Subscription:
    """Pending to rejected. The application may ask again."""
    return _decide(subscription, Action.REJECT, actor, reason)


def revoke_subscription(
    *, subscription: Subscription, actor: User | None, reason: str = ""
) -> Subscription:
    """Approved to revoked: the application's calls are refused from now on."""
    return _decide(subscription, Action.REVOKE, actor, reason)


@transaction.atomic
def _decide(
    subscription: Subscription, action: Action, actor: User | None, reason: str
) -> Subscription:
    """Raises ValidationError ``transition`` where the status has moved on already."""
    locked = Subscription.objects.select_for_update(of=("self",))
    row = locked.select_related("application", "api", "plan").get(pk=subscription.pk)
    needed, given = _TRANSITIONS[action]
    if row.status != needed:
        raise ValidationError(
            f"This subscription is {row.get_status_display().lower()}. Only one that is "
            f"{needed.label.lower()} can be {given.label.lower()}.",
            code="transition",
        )
    row.status = given
    rows.save(row=row)
    _record(row, action, actor, reason)
    return row


def _record(subscription: Subscription, action: Action, actor: User | None, reason: str) -> None:
    event = SubscriptionEvent(
        subscription=subscription,
        action=action,
        actor=actor,
        actor_name=actor.get_username() if actor else "",
        reason=reason,
    )
    event.full_clean(exclude=["actor"])
    event.save()
