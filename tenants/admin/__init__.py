"""The pages for tenants and people: the operator's, and a tenant's own members and tokens."""

from tenants.admin import accounts, members, organisations, settings, tokens

__all__ = ["accounts", "members", "organisations", "settings", "tokens"]
