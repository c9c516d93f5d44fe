"""How the two consoles look: names, colours and what stands in their sidebars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy

Item = dict[str, Any]

TEAL = {
    "50": "oklch(98.4% 0.014 180.7)",
    "100": "oklch(95.3% 0.051 180.8)",
    "200": "oklch(91% 0.096 180.4)",
    "300": "oklch(85.5% 0.138 181.1)",
    "400": "oklch(77.7% 0.152 181.9)",
    "500": "oklch(70.4% 0.14 182.5)",
    "600": "oklch(51.1% 0.096 186.4)",
    "700": "oklch(43.7% 0.078 188.2)",
    "800": "oklch(38.6% 0.063 188.4)",
    "900": "oklch(33.6% 0.053 189)",
    "950": "oklch(27.7% 0.046 192.5)",
}
INDIGO = {
    "50": "oklch(96.2% 0.018 272.3)",
    "100": "oklch(93% 0.034 272.8)",
    "200": "oklch(87% 0.065 274)",
    "300": "oklch(78.5% 0.115 274.7)",
    "400": "oklch(67.3% 0.182 276.9)",
    "500": "oklch(58.5% 0.233 277.1)",
    "600": "oklch(51.1% 0.262 277)",
    "700": "oklch(45.7% 0.24 277)",
    "800": "oklch(39.8% 0.195 277.4)",
    "900": "oklch(35.9% 0.144 278.7)",
    "950": "oklch(25.7% 0.09 281.3)",
}


def page(title: str, icon: str, model: str) -> Item:
    """A sidebar entry for a model's list, such as ``catalog.api``; for those who may see it."""
    app_label, model_name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app_label}_{model_name}_changelist"),
        "permission": _may_view(app_label, model_name),
    }


def _may_view(app_label: str, model_name: str) -> Callable[[HttpRequest], bool]:
    def may_view(request: HttpRequest) -> bool:
        return request.user.has_perm(f"{app_label}.view_{model_name}")

    return may_view


def group(title: str, *items: Item) -> dict[str, Any]:
    """A titled part of the sidebar."""
    return {"title": title, "separator": True, "items": list(items)}


def overview() -> dict[str, Any]:
    home = {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")}
    return {"title": None, "separator": False, "items": [home]}


def usage() -> dict[str, Any]:
    calls = {
        "title": "Calls",
        "icon": "receipt_long",
        "link": reverse_lazy("usage:calls"),
        "permission": _may_view("analytics", "usagerecord"),
    }
    models = {
        "title": "Model health",
        "icon": "monitor_heart",
        "link": reverse_lazy("usage:models"),
        "permission": _may_view("analytics", "usagerecord"),
    }
    return group(
        "Usage",
        calls,
        models,
        page("Reports", "summarize", "analytics.trendreport"),
        page("Alerts", "notifications", "analytics.alertrule"),
        page("Alert history", "notification_important", "analytics.alertevent"),
    )


def model_library() -> Item:
    return {
        "title": "Model library",
        "icon": "menu_book",
        "link": reverse_lazy("library:index"),
        "permission": _may_view("catalog", "aimodel"),
    }


def tenant_name(request: HttpRequest) -> str:
    return request.tenant.name


def tenant_sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The catalogue's pages stand between the overview and the team's."""
    from catalog.admin.navigation import pending

    return [
        overview(),
        usage(),
        group(
            "Publish",
            page("APIs", "api", "catalog.api"),
            page("Upstreams", "dns", "catalog.upstream"),
            page("Prompts", "chat", "catalog.prompt"),
        ),
        group(
            "AI",
            page("Models", "neurology", "catalog.aimodel"),
            model_library(),
            page("Providers", "cloud", "catalog.provider"),
        ),
        group(
            "Access",
            page("Applications", "apps", "catalog.application"),
            page("API keys", "key", "catalog.apikey"),
            page("Subscriptions", "how_to_reg", "catalog.subscription") | pending(),
            page("Plans", "inventory_2", "catalog.plan"),
            page("Limits", "speed", "catalog.limit"),
        ),
        group("Gateway", page("Publications", "history", "catalog.publication")),
        group(
            "Team",
            page("Members", "group", "tenants.membership"),
            page("Management tokens", "vpn_key", "tenants.managementtoken"),
            page("Settings", "settings", "tenants.tenantsettings"),
        ),
    ]


_BOTH = {
    "SITE_URL": None,
    "SITE_SYMBOL": "hub",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
}

# A tenant's console.
UNFOLD = {
    **_BOTH,
    "SITE_TITLE": tenant_name,
    "SITE_HEADER": tenant_name,
    "SITE_SUBHEADER": "Hubpo",
    "COLORS": {"primary": TEAL},
    "DASHBOARD_CALLBACK": "config.home.dashboard",
    "SIDEBAR": {
        "show_search": False,
        "navigation": tenant_sidebar,
    },
}

# The operator's console.
UNFOLD_OPERATOR = {
    **_BOTH,
    "SITE_TITLE": "Hubpo platform",
    "SITE_HEADER": "Hubpo",
    "SITE_SUBHEADER": "Platform",
    "COLORS": {"primary": INDIGO},
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            overview(),
            group(
                "Tenants",
                page("Tenants", "apartment", "tenants.tenant"),
                page("Account tiers", "layers", "tenants.accounttier"),
                page("Hosts", "dns", "tenants.domain"),
            ),
            group("People", page("Users", "group", "tenants.user")),
            group("Usage", page("Refused entries", "report", "analytics.poisonentry")),
        ],
    },
}
