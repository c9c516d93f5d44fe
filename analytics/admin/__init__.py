"""The pages for usage. Importing this registers those that a model's admin serves."""

from analytics.admin import alerts, poison, reports  # noqa: F401
