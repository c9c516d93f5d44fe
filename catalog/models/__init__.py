"""What a tenant publishes, in the tenant's own schema."""

from catalog.models.access import (
    ApiKey,
    Application,
    Plan,
    Subscription,
    SubscriptionEvent,
)
from catalog.models.ai import AIModel, Deployment, Provider, ProviderCredential
from catalog.models.apis import Api, Route
from catalog.models.limits import Limit
from catalog.models.prices import PriceChange
from catalog.models.prompts import Prompt, PromptVersion
from catalog.models.publication import Publication
from catalog.models.routing import RoutingRule
from catalog.models.upstreams import Target, Upstream

__all__ = [
    "AIModel",
    "Api",
    "ApiKey",
    "Application",
    "Deployment",
    "Limit",
    "Plan",
    "PriceChange",
    "Prompt",
    "PromptVersion",
    "Provider",
    "ProviderCredential",
    "Publication",
    "Route",
    "RoutingRule",
    "Subscription",
    "SubscriptionEvent",
    "Target",
    "Upstream",
]
