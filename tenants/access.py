"""What a member may do. Permissions come from the role; no permission rows are kept."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest

from tenants import throttle
from tenants.models import Membership, Tenant, User

Role = Membership.Role

READ = {"view"}
WRITE = {"view", "add", "change", "delete"}

# role -> app label or "app.model" -> what may be done with it
RULES: dict[str, dict[str, set[str]]] = {
    Role.VIEWER: {"catalog": READ, "analytics": READ, "tenants.membership": READ},
    Role.PUBLISHER: {"catalog": WRITE, "analytics": READ, "tenants.membership": READ},
    Role.ADMIN: {"catalog": WRITE, "analytics": WRITE, "tenants.membership": WRITE},
    Role.OWNER: {"catalog": WRITE, "analytics": WRITE, "tenants.membership": WRITE},
}
for _rules in RULES.values():
    _rules["tenants.tenantsettings"] = READ
    _rules["tenants.managementtoken"] = WRITE  # one's own only; see its admin and API
for _role in (Role.ADMIN, Role.OWNER):
    RULES[_role]["tenants.tenantsettings"] = {"view", "change"}


def membership_of(user: User, tenant: Tenant) -> Membership | None:
    """The membership, remembered on the user object for the rest of the request."""
    if not user.is_authenticated:
        return None
    cache = user.__dict__.setdefault("_memberships", {})
    if tenant.pk not in cache:
        membership = Membership.objects.filter(user=user, tenant_id=tenant.pk).first()
        if membership is not None:
            membership.tenant = tenant
        cache[tenant.pk] = membership
    return cache[tenant.pk]


def may(role: str, action: str, app_label: str, model_name: str) -> bool:
    """Whether a role may ``view``, ``add``, ``change`` or ``delete`` a model."""
    rules = RULES[role]
    return action in rules.get(f"{app_label}.{model_name}", rules.get(app_label, set()))


class MembershipBackend(ModelBackend):
    """Checks passwords as Django does, and permissions by the role in the current tenant.

    While a tenant is suspended its members may look and change nothing.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: object,
    ) -> User | None:
        """As Django does; too many failures raise PermissionDenied, which refuses all backends.

        ``request.sign_in_refused`` then tells the form what to say. Without a request,
        as in a test or a shell, nothing is counted.
        """
        if request is None or username is None or password is None:
            return super().authenticate(request, username, password, **kwargs)
        address = request.META.get("REMOTE_ADDR", "")
        if throttle.refuses(username, address):
            request.sign_in_refused = True
            raise PermissionDenied
        user = super().authenticate(request, username, password, **kwargs)
        if user is not None:
            throttle.succeeded(username, address)
        return user

    def user_can_authenticate(self, user: User) -> bool:
        tenant = connection.tenant
        if not super().user_can_authenticate(user):
            return False
        if connection.schema_name == "public":
            return user.is_superuser
        return membership_of(user, tenant) is not None

    def get_user(self, user_id: int) -> User | None:
        """The session's user; membership is asked by whoever needs it, on each request."""
        return User.objects.filter(pk=user_id, is_active=True).first()

    def has_perm(self, user: User, perm: str, obj: object = None) -> bool:
        if connection.schema_name == "public":
            return user.is_active and user.is_superuser
        membership = membership_of(user, connection.tenant)
        if membership is None or not user.is_active:
            return False
        app_label, codename = perm.split(".", 1)
        action, _, model_name = codename.partition("_")
        if action != "view" and membership.tenant.state == Tenant.State.SUSPENDED:
            return False
        return may(membership.role, action, app_label, model_name)

    def has_module_perms(self, user: User, app_label: str) -> bool:
        if connection.schema_name == "public":
            return user.is_active and user.is_superuser
        membership = membership_of(user, connection.tenant)
        return membership is not None and any(
            key.split(".")[0] == app_label for key in RULES[membership.role]
        )
