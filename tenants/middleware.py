"""From the Host header to the tenant, before anything else looks at the request."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseNotFound
from django_tenants.middleware.main import TenantMainMiddleware

from tenants.models import Domain, Tenant

_HIDDEN = {Tenant.State.CREATING, Tenant.State.FAILED, Tenant.State.DELETING}


def tenant_of(hostname: str) -> Tenant:
    """Raises Domain.DoesNotExist; also for a tenant that is not there yet or no longer."""
    domain = Domain.objects.select_related("tenant__tier").get(domain=hostname)
    if domain.tenant.state in _HIDDEN:
        raise Domain.DoesNotExist
    return domain.tenant


class TenantMiddleware(TenantMainMiddleware):
    """Sets ``request.tenant`` and the connection's schema.

    A host of no tenant, and one whose tenant is not there yet or no longer, get the same
    answer, so nobody learns which tenants exist. A suspended tenant's console stays open:
    its people must be able to see why.
    """

    def no_tenant_found(self, request: HttpRequest, hostname: str) -> HttpResponseNotFound:
        return HttpResponseNotFound(
            "No tenant has this host name. Check the address, or ask the platform's operator.\n",
            content_type="text/plain; charset=utf-8",
        )

    @staticmethod
    def hostname_from_request(request: HttpRequest) -> str:
        """Without the port, in lower case and without a final dot: all the same host."""
        return request.get_host().rsplit(":", 1)[0].lower().rstrip(".")

    def get_tenant(self, domain_model: type, hostname: str) -> Tenant:
        return tenant_of(hostname)
