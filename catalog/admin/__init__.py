"""The tenant's pages for the catalogue. Importing this registers them all."""

from catalog.admin import (  # noqa: F401
    ai,
    apis,
    applications,
    home,
    limits,
    plans,
    prompts,
    publications,
    subscriptions,
    upstreams,
)
