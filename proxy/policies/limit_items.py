"""From the limits configured at a place to what its calls must pass."""

from __future__ import annotations

from contract.keys import limit_subject, limit_within
from contract.periods import period_at
from contract.policies import Limit
from contract.snapshot import SnapshotError
from proxy.limits import Item
from proxy.policies.place import Place


class Rules:
    """``configs`` come with their level: tenant, api, route, plan, application or key.

    ``by_key`` and ``by_user``: what is counted depends on the key, or on the end user.
    """

    def __init__(self, configs: list[tuple[str, Limit]], place: Place) -> None:
        configs = [
            (level, config)
            for level, config in configs
            if place.ai or config.measure not in ("tokens", "cost")
        ]
        self._place = place
        if any(config.period for _, config in configs):
            _require_zone(place.time_zone)
        self.by_key = any(config.scope == "key" for _, config in configs)
        self.by_user = any(config.scope == "user" for _, config in configs)
        self._configs = [
            (level, config, None if config.scope in ("key", "user") else self._item(level, config))
            for level, config in configs
        ]
        """The item as well, where it is the same for all keys and users."""

    def __bool__(self) -> bool:
        return bool(self._configs)

    @property
    def drops(self) -> bool:
        """There are limits that do not refuse a call where another model can be asked."""
        return any(config.then == "cheaper" for _, config, _ in self._configs)

    def items(self, key_id: str = "", user: str = "", *, hard: bool = False) -> tuple[Item, ...]:
        """Of limits that count the same, only the tightest; exact if one of them is.

        ``user`` is the digest of an end user; ``hard``: only of limits that refuse.
        """
        found: dict[tuple[str, str, int, str, str], Item] = {}
        for level, config, shared in self._configs:
            if hard and config.then == "cheaper":
                continue
            item = shared or self._item(level, config, key_id, user)
            same = (item.measure, item.subject, item.window, item.period, item.currency)
            known = found.setdefault(same, item)
            known.leased = known.leased and item.leased
            if item.amount < known.amount:
                item.leased = known.leased
                found[same] = item
        return tuple(found.values())

    def _item(self, level: str, config: Limit, key_id: str = "", user: str = "") -> Item:
        place = self._place
        subject = limit_subject(
            config.scope,
            self._identifier(config, key_id, user),
            place.route_id if level == "route" else "",
            limit_within(level, self._origin(level), config.scope),
        )
        return Item(
            tenant_id=place.tenant_id,
            measure=config.measure,
            subject=subject,
            amount=config.amount,
            window=0 if config.period or config.measure == "concurrency" else config.window,
            period="" if config.measure == "concurrency" else config.period,
            leased=config.mode == "leased",
            currency=config.currency if config.measure == "cost" else "",
            time_zone=place.time_zone,
            scope=config.scope,
            name=_name(level, config),
            fallback=config.fallback if config.then == "cheaper" else "",
        )

    def _origin(self, level: str) -> str:
        """The id of what the limit is set on, as far as it matters to what it counts."""
        place = self._place
        return {"plan": place.plan_id, "api": place.api_id, "key": place.key_id}.get(level, "")

    def _identifier(self, config: Limit, key_id: str, user: str) -> str:
        place = self._place
        application = place.application_id or "none"
        return {
            "tenant": "",
            "api": place.api_id,
            "plan": place.plan_id or "none",
            "subscription": place.subscription_id or place.api_id,
            "application": application,
            "key": key_id or "none",
            "user": f"{application}:{user}",
        }[config.scope]


def _require_zone(time_zone: str) -> None:
    """Raises SnapshotError for one that does not exist."""
    try:
        period_at("day", time_zone, 0.0)
    except ValueError as error:
        raise SnapshotError(str(error)) from error


def _name(level: str, config: Limit) -> str:
    """``subscription-60s``, ``tenant-cost-month``, ``route-concurrency``."""
    parts: list[str] = ["route" if level == "route" else config.scope]
    if config.measure != "calls":
        parts.append(config.measure)
    if config.measure != "concurrency":
        parts.append(config.period or f"{config.window}s")
    return "-".join(parts)
