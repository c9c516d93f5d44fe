"""Who uses the platform: account tiers, tenants, their hosts, people and their tokens.

All of this lives in the public schema. What a tenant publishes lives in its own
(``catalog``).
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.auth import get_backends
from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone
from django_tenants.models import DomainMixin, TenantMixin

slug_validator = RegexValidator(
    r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$",
    "Use 1 to 30 lower-case letters, digits and hyphens, with a letter first "
    "and no hyphen at the end.",
)


_AT_LEAST_ONE = [MinValueValidator(1)]


class User(AbstractUser):
    """A person. Signs in on a tenant's host only as a member of it.

    Being a superuser counts on the platform's own host alone: elsewhere the role in the
    tenant decides (see ``tenants.access``), so the usual short cut is taken out here.
    """

    must_change_password = models.BooleanField(
        default=False,
        editable=False,
        help_text="Set with a one-time password: the console asks for a new one first.",
    )

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return any(backend.has_perm(self, perm, obj) for backend in get_backends())

    def has_module_perms(self, app_label: str) -> bool:
        return any(backend.has_module_perms(self, app_label) for backend in get_backends())


class AccountTier(models.Model):
    """What a tenant may use. An empty limit means no limit."""

    name = models.CharField(max_length=60, unique=True)
    description = models.TextField(blank=True)
    max_apis = models.PositiveIntegerField("APIs", null=True, blank=True)
    max_applications = models.PositiveIntegerField("applications", null=True, blank=True)
    max_members = models.PositiveIntegerField("members", null=True, blank=True)
    max_calls_per_minute = models.PositiveIntegerField(
        "calls per minute", null=True, blank=True, validators=_AT_LEAST_ONE
    )
    max_calls_per_month = models.PositiveBigIntegerField(
        "calls per calendar month", null=True, blank=True, validators=_AT_LEAST_ONE
    )
    max_calls_at_once = models.PositiveIntegerField(
        "calls at once", null=True, blank=True, validators=_AT_LEAST_ONE
    )
    max_tokens_per_month = models.PositiveBigIntegerField(
        "AI tokens per calendar month",
        null=True,
        blank=True,
        validators=_AT_LEAST_ONE,
        help_text="Input and output together. Months begin in the tenant's time zone.",
    )
    max_body_bytes = models.PositiveBigIntegerField(
        "request body, bytes", null=True, blank=True, help_text="Larger ones are refused with 413."
    )
    ai_gateway = models.BooleanField("AI models and prompts", default=True)
    private_upstreams = models.BooleanField(
        "private upstream addresses",
        default=False,
        help_text="Lets the tenant's upstreams and providers be on loopback and private networks. "
        "Leave it off where tenants do not trust each other.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tenant(TenantMixin):
    """One organisation, with a schema of its own.

    Creating and deleting take a while and run in the background; ``state`` and
    ``progress`` tell how far they are. A deletion can be undone until ``delete_after``.
    """

    class State(models.TextChoices):
        CREATING = "creating", "Being created"
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        DELETING = "deleting", "To be deleted"
        FAILED = "failed", "Creation failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    slug = models.CharField(
        max_length=30,
        unique=True,
        validators=[slug_validator],
        help_text="Names the tenant's host and its schema. It cannot be changed later.",
    )
    tier = models.ForeignKey(AccountTier, on_delete=models.PROTECT, related_name="tenants")
    state = models.CharField(max_length=12, choices=State, default=State.CREATING)
    progress = models.PositiveSmallIntegerField("progress, %", default=0)
    progress_text = models.CharField(max_length=200, blank=True)
    suspended_reason = models.CharField(
        max_length=200, blank=True, help_text="Shown to the tenant's applications."
    )
    delete_after = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When the worker that creates this tenant was last heard of.",
    )
    time_zone = models.CharField(max_length=50, default="UTC")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    auto_create_schema = False
    auto_drop_schema = False

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def serves(self) -> bool:
        """Calls to this tenant are answered."""
        return self.state == self.State.ACTIVE


class TenantSettings(Tenant):
    """What a tenant's own people may change about it, for pages and permissions of its own."""

    class Meta:
        proxy = True
        verbose_name = "settings"
        verbose_name_plural = "settings"


class Domain(DomainMixin):
    """A host name that leads to a tenant, both in the console and in the gateway."""

    class Meta:
        verbose_name = "host"
        ordering = ["domain"]


class Membership(models.Model):
    """What a person may do in a tenant."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        ADMIN = "admin", "Admin"
        PUBLISHER = "publisher", "Publisher"
        VIEWER = "viewer", "Viewer"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "member"
        ordering = ["tenant", "user"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="one_membership_per_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()}"


class ManagementToken(models.Model):
    """Lets a program use the management API as a member. Only its digest is kept."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class SnapshotChange(models.Model):
    """A note that the tenant's snapshot must be compiled again.

    Written in the transaction of the change itself and taken away once a snapshot with
    that change is published, so nothing is missed where a process dies in between.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="snapshot_changes")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.tenant}, {self.created_at:%Y-%m-%d %H:%M:%S}"
