"""The tenant's pages for the catalogue. Importing this registers them all."""

from catalog.admin import (  # noqa: F401
    ai,
    apis,
    applications,
    deployments,
    home,
    limits,
    plans,
    prompts,
    publications,
    rules,
    subscriptions,
    upstreams,
)
