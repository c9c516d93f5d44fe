"""Django's settings. What differs between installations comes from ``config.env``."""

from __future__ import annotations

import os
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

from celery.schedules import crontab

from config import env
from config.console import UNFOLD, UNFOLD_OPERATOR  # noqa: F401  (both are settings)

BASE_DIR = env.ROOT
SECRET_KEY = env.secret_key().split(",")[0]
SECRET_KEY_FALLBACKS = env.secret_key().split(",")[1:]
DEBUG = os.environ.get("HUBPO_DEBUG") == "1"

DOMAIN = os.environ.get("HUBPO_DOMAIN", "localhost")
"""The operator's host; a tenant's is ``<slug>.<domain>``."""
GATEWAY_ADDRESS = os.environ.get("HUBPO_GATEWAY_ADDRESS", f"http://{{host}}:{env.gateway_port()}")
"""Where people are told to call; ``{host}`` stands for the tenant's host name."""
CONSOLE_ADDRESS = os.environ.get("HUBPO_CONSOLE_ADDRESS", f"http://{{host}}:{env.console_port()}")
"""As ``GATEWAY_ADDRESS``, for the console."""
SANDBOX_ADDRESS = f"http://127.0.0.1:{env.sandbox_port()}"
"""Where the demo's REST service and AI provider are found on this machine."""
ALLOWED_HOSTS = os.environ.get("HUBPO_ALLOWED_HOSTS", "*").split(",")

SHARED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.inlines",
    "django_tenants",
    "tenants",
    "analytics",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "config.apps.WiringConfig",
]
TENANT_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.contenttypes",
    "catalog",
]
INSTALLED_APPS = SHARED_APPS + [app for app in TENANT_APPS if app not in SHARED_APPS]

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_DELETION_DAYS = env.deletion_days()
"""How long a deletion can be undone."""
USAGE_RETENTION_DAYS = env.usage_retention_days()
"""How long single calls are kept; their sums are kept for longer."""
PUBLIC_SCHEMA_URLCONF = "config.urls_operator"
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
AUTH_USER_MODEL = "tenants.User"
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
AUTHENTICATION_BACKENDS = ["tenants.access.MembershipBackend"]

MIDDLEWARE = [
    "config.middleware.return_connections",
    "django.middleware.security.SecurityMiddleware",
    # Before the tenant is looked up: static files belong to nobody and need no connection.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "tenants.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django_tenants.postgresql_backend",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": {**query, "pool": {"min_size": 0, "max_size": 10, "timeout": 10}},
    }


DATABASES = {"default": _database(env.database_url())}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
REDIS_URL = env.redis_url()
BROKER_URL = env.broker_url()

_broker = BROKER_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_URL = _broker
CELERY_RESULT_BACKEND = _broker
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "hubpo"
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "reconcile-snapshots": {"task": "catalog.reconcile", "schedule": timedelta(seconds=30)},
    "reconcile-all-snapshots": {"task": "catalog.reconcile_all", "schedule": timedelta(hours=1)},
    "rebuild-limits": {
        "task": "catalog.rebuild_limits",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 2},
    },
    "purge-deleted-tenants": {"task": "tenants.purge_deleted", "schedule": timedelta(minutes=5)},
    "ingest-usage": {
        "task": "analytics.ingest",
        "schedule": timedelta(seconds=1),
        "options": {"expires": 1},
    },
    "sweep-usage": {"task": "analytics.sweep", "schedule": crontab(hour="0", minute="17")},
    "evaluate-alerts": {
        "task": "analytics.evaluate_alerts",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "write-reports": {"task": "analytics.write_reports", "schedule": timedelta(minutes=15)},
}

# What a tenant's pages cache is kept apart by its schema; "platform" is for all of it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": BROKER_URL,
        "KEY_PREFIX": "hubpo:cache",
        "KEY_FUNCTION": "django_tenants.cache.make_key",
    },
    "platform": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": BROKER_URL,
        "KEY_PREFIX": "hubpo:platform",
    },
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [BROKER_URL]},
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tenants.permissions.RolePermission"],
    "DEFAULT_PAGINATION_CLASS": "catalog.api.paging.Pages",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.SearchFilter",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "catalog.api.errors.handle",
    "PAGE_SIZE": 50,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Hubpo management API",
    "DESCRIPTION": "Publishes, secures and prices what a tenant offers through its gateway.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "MemberRole": "tenants.models.Membership.Role",
        "MessageRole": "catalog.prompt_checks.ROLES",
        "ApiKind": "catalog.models.Api.Kind",
        "ApiState": "catalog.models.Api.State",
        "SubscriptionStatus": "catalog.models.Subscription.Status",
        "ModelAbility": "catalog.models.AIModel.Ability",
        "DeploymentAbility": "catalog.models.ai.Trait",
        "LimitMeasure": "catalog.models.Limit.Measure",
        "LimitWindow": "catalog.models.Limit.Window",
        "LimitPer": "catalog.models.Limit.Per",
        "LimitMode": "catalog.models.Limit.Mode",
        "PublicationStatus": "catalog.models.Publication.Status",
        "WorkerOpinion": "contract.target_states.WORST_FIRST",
        "Health": "analytics.model_health.HEALTH",
        "ReportKind": "analytics.models.TrendReport.Kind",
        "AlertMetric": "analytics.models.AlertRule.Metric",
        "AlertRuleState": "analytics.models.AlertRule.State",
        "AlertEventState": "analytics.models.AlertEvent.State",
        "AlertChannel": "analytics.models.AlertDelivery.Channel",
        "AlertDeliveryStatus": "analytics.models.AlertDelivery.Status",
    },
    "SCHEMA_PATH_PREFIX": "/api/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}


def _mail(url: str) -> dict[str, object]:
    """``smtp://user:password@host:port``; ``smtp+tls`` for STARTTLS, ``smtps`` for TLS."""
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    parts, ports = urlsplit(url), {"smtp": 25, "smtp+tls": 587, "smtps": 465}
    try:
        port = parts.port or ports.get(parts.scheme)
    except ValueError:
        port = None
    if parts.scheme not in ports or not parts.hostname or port is None:
        raise env.EnvError("HUBPO_SMTP_URL must look like smtp+tls://user:password@host:587.")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port,
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 10,
    }


globals().update(_mail(env.smtp_url()))
DEFAULT_FROM_EMAIL = env.mail_from(DOMAIN)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
_https = os.environ.get("HUBPO_HTTPS") == "1"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _https
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None

LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["config.formats"]
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = env.var_dir() / "static"
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"httpx": {"level": "WARNING"}},
}
