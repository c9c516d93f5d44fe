"""How OpenAPI describes the management tokens."""

from __future__ import annotations

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):
    """``Authorization: Token hubt_...``"""

    target_class = "tenants.tokens.TokenAuthentication"
    name = "Management token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token hubt_…`, issued in the console under Management tokens.",
        }
