"""From the library of models into the tenant's catalogue, and its prices when they change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from msgspec.structs import replace

from catalog import ai_routing, library
from catalog.library import Entry
from catalog.library_search import providers_for, vendor_ids
from catalog.models import AIModel, Api, Deployment, PriceChange, Provider
from catalog.models.prices import UNITS
from catalog.price_checks import check_prices
from catalog.services import ai, publishing
from contract.snapshot import Prices


def entry_of(key: str) -> Entry:
    """Raises ValidationError ``library_unknown``."""
    entry = library.entries().get(key)
    if entry is None:
        message = "The library has no such model. Search it for the key to use."
        raise ValidationError({"key": ValidationError(message, code="library_unknown")})
    return entry


def only_provider(entry: Entry) -> Provider:
    """The tenant's one that serves it. Raises ValidationError where there is none or more."""
    found = providers_for(entry, Provider.objects.filter(enabled=True))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(provider.name for provider in found)
        message = f"Choose one of your providers: {names}."
        code = "provider_ambiguous"
    else:
        message = f"Add {entry.vendor.name} to your providers first."
        code = "provider_missing"
    raise ValidationError({"provider": ValidationError(message, code=code)})


def name_for(entry: Entry) -> str:
    """What the tenant's applications may call it."""
    return entry.id.lstrip("~@")


@transaction.atomic
def add(
    *,
    entry: Entry,
    provider: Provider,
    name: str = "",
    join: bool = False,
    apis: Sequence[Api] | None = None,
) -> Deployment:
    """A model with one deployment, at the library's prices of now and those to come.

    ``name`` is the library's where it is empty. With ``join`` a model of that name that there is
    already gets the deployment, which then has its share of the calls. Without ``apis`` it is
    offered through all that are for models. Raises ValidationError by field.
    """
    if entry.vendor.id not in vendor_ids(provider):
        message = f"{provider} is not {entry.vendor.name}: choose a provider of that kind."
        raise ValidationError({"provider": ValidationError(message, code="other_vendor")})
    name = name.strip() or name_for(entry)
    model = AIModel.objects.select_for_update().filter(name=name).first()
    if model is not None and not join:
        message = f"There is a model {name} already: choose another name, or add to that one."
        raise ValidationError({"name": ValidationError(message, code="name_taken")})
    deployment = _deployment(entry, provider)
    if model is None:
        offered = Api.objects.filter(kind=Api.Kind.AI) if apis is None else apis
        abilities = list(entry.abilities) or [AIModel.Ability.CHAT]
        made = AIModel(name=name, abilities=abilities, description=entry.description)
        ai.save_model(model=made, apis=list(offered), deployments=[deployment])
    else:
        _join(model, deployment)
    for prices in entry.prices:
        if prices.since > timezone.now().timestamp():
            _change(deployment, prices, moment(prices.since))
    publishing.changed()
    return deployment


def _join(model: AIModel, deployment: Deployment) -> None:
    ai.tiers.check_ai()
    same = {"provider": deployment.provider, "provider_model": deployment.provider_model}
    if model.deployments.filter(**same).exists():
        message = f"{model} has this deployment already."
        raise ValidationError({"name": ValidationError(message, code="already_added")})
    deployment.model = model
    deployment.full_clean()
    ai.check_deployment(deployment)
    deployment.save()


def _deployment(entry: Entry, provider: Provider) -> Deployment:
    """Without the traits that are guessed from prices: what is known in part would keep calls from
    it that it can answer."""
    return Deployment(
        provider=provider,
        provider_model=entry.provider_model,
        library=entry.key,
        context_tokens=entry.context_tokens,
        **columns(entry.prices_at(timezone.now().timestamp())),
    )


def moment(since: int) -> datetime:
    return datetime.fromtimestamp(since, UTC)


def columns(prices: Prices) -> dict[str, Any]:
    """As the tables of prices have them."""

    def dollars(micros: int | None) -> Decimal | None:
        return None if micros is None else Decimal(micros).scaleb(-6)

    return {
        **{f"{unit}_price": dollars(getattr(prices, unit)) for unit in UNITS},
        "price_steps": [
            {
                "unit": step.unit,
                "above": step.above,
                "price": f"{dollars(step.price).normalize():f}",
            }
            for step in prices.steps
        ],
        "picture_prices": [
            {
                "size": one.size,
                "quality": one.quality,
                "price": f"{dollars(one.price).normalize():f}",
            }
            for one in prices.pictures
        ],
        "batch_percent": prices.batch_percent,
        "currency": prices.currency,
    }


def _change(deployment: Deployment, prices: Prices, since: datetime) -> None:
    change = PriceChange(deployment=deployment, since=since, **columns(prices))
    check_prices(change)
    change.full_clean()
    change.save()


class Update(msgspec.Struct, frozen=True):
    """What the library would change: ``new`` in place of ``old`` from now on where they differ, and
    ``later`` from the time of each."""

    deployment: Any
    entry: Entry
    old: Prices
    new: Prices
    later: tuple[Prices, ...]
    digest: str
    """Of what was and what would be: whoever agrees says what to."""

    @property
    def differs(self) -> bool:
        return not same(self.old, self.new)


def updates(now: datetime | None = None, *, lock: bool = False) -> list[Update]:
    """For deployments that came from the library and are still what they were then, with prices in
    the library's currency. By name of model and provider."""
    rows = Deployment.objects.exclude(library="").select_related("model", "provider")
    if lock:
        rows = rows.select_for_update(of=("self",))
    rows = rows.prefetch_related("price_changes").order_by("model__name", "provider__name", "pk")
    now = now or timezone.now()
    found = [_update(row, now) for row in rows]
    return [one for one in found if one is not None]


def _update(row: Deployment, now: datetime) -> Update | None:
    entry = library.entries().get(row.library)
    if entry is None or (
        entry.provider_model != row.provider_model and row.provider.preset != "azure"
    ):
        return None
    old = ai_routing.prices(ai_routing.in_force(row, now))
    moment = now.timestamp()
    # The library knows nothing of batches and of single pictures: what stands of them stays.
    own = {name: getattr(old, name) for name in ("batch_percent", "picture", "pictures")}
    new = replace(entry.prices_at(moment), since=0, **own)
    known = {int(change.since.timestamp()) for change in row.price_changes.all()}
    coming = [p for p in entry.prices if p.since > moment and p.since not in known]
    later = tuple(replace(p, **own) for p in coming)
    if not library.prices_known(new, entry.abilities) or old.currency != new.currency:
        return None
    if same(old, new) and not later:
        return None
    said = msgspec.msgpack.encode((str(row.pk), old, new, later))
    return Update(row, entry, old, new, later, hashlib.sha256(said).hexdigest()[:16])


def same(one: Prices, other: Prices) -> bool:
    """The order of steps says nothing."""
    return replace(one, steps=tuple(sorted(one.steps, key=_step))) == replace(
        other, steps=tuple(sorted(other.steps, key=_step))
    )


def _step(step: Any) -> tuple[str, int]:
    return step.unit, step.above


@transaction.atomic
def update_prices(*, agreed: Mapping[UUID, str]) -> list[Update]:
    """Adds dated prices to deployments, by id with the ``digest`` that was agreed to. Calls until
    now keep theirs. Raises ValidationError ``prices_changed`` where something else would be changed
    by now; then nothing is."""
    now = timezone.now()
    found = {one.deployment.pk: one for one in updates(now, lock=True)}
    chosen = []
    for pk, digest in agreed.items():
        update = found.get(pk)
        if update is None or update.digest != digest:
            message = "Something has changed since these prices were shown: look again."
            raise ValidationError({"changes": ValidationError(message, code="prices_changed")})
        chosen.append(update)
    for update in chosen:
        if update.differs:
            _change(update.deployment, update.new, now)
        for prices in update.later:
            _change(update.deployment, prices, moment(prices.since))
    if chosen:
        publishing.changed()
    return chosen
