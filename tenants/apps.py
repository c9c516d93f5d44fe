from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"
