"""The cast, on real servers.

Alice owns the tenant ``alice``, Bob is her team-mate there with the role publisher, and
Charlie owns the tenant ``charlie``. The two schemas are made once per run; the rows that
lead to them are made for each test and rolled back (or truncated) with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import Client, TransactionTestCase
from django_tenants.utils import quote_schema_name

TENANTS = ("alice", "charlie")
HOSTS = {"public": "localhost", "alice": "alice.localhost", "charlie": "charlie.localhost"}


def _empty_all_schemas(self: TransactionTestCase) -> None:
    """Truncates every schema at once, in place of Django's flush.

    Django's knows the current schema only, and PostgreSQL refuses to truncate a public
    table that tenants' tables refer to. Schemas that a test made are dropped.
    """
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_)'")
        for (schema,) in cursor.fetchall():
            if schema not in HOSTS:
                cursor.execute(f"DROP SCHEMA {quote_schema_name(schema)} CASCADE")
        cursor.execute(
            "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname = ANY(%s) AND tablename NOT IN "
            "('django_migrations', 'django_content_type', 'auth_permission')",
            [list(HOSTS)],
        )
        tables = ", ".join(name for (name,) in cursor.fetchall())
        cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")


TransactionTestCase._fixture_teardown = _empty_all_schemas


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: object) -> None:
    """Adds the two schemas to the test database."""
    from tenants import schemas

    with django_db_blocker.unblock():
        for name in TENANTS:
            schemas.create(name)
            schemas.migrate(name, lambda done, total, migration: None)
        connection.close()


@pytest.fixture(autouse=True)
def _quick_passwords(settings: object) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _public_schema() -> Iterator[None]:
    """Each test begins and ends in the public schema, whatever a request left behind."""
    connection.set_schema_to_public()
    yield
    connection.set_schema_to_public()


@pytest.fixture
def tier(db: None) -> object:
    """A tier with no limits, whose upstreams may be on loopback."""
    from tenants.models import AccountTier

    return AccountTier.objects.create(name="Test", private_upstreams=True)


@pytest.fixture
def public_tenant(db: None) -> object:
    from tenants import services

    return services.ensure_public(domain=HOSTS["public"])


def _person(username: str) -> object:
    from tenants.models import User

    return User.objects.create_user(username, f"{username}@example.org", f"{username}-password")


def _tenant(slug: str, tier: object, owner: object) -> object:
    from tenants.models import Domain, Membership, Tenant

    tenant = Tenant.objects.create(
        name=slug.title(),
        slug=slug,
        schema_name=slug,
        tier=tier,
        state=Tenant.State.ACTIVE,
        progress=100,
    )
    Domain.objects.create(tenant=tenant, domain=HOSTS[slug], is_primary=True)
    Membership.objects.create(tenant=tenant, user=owner, role=Membership.Role.OWNER)
    return tenant


@pytest.fixture
def alice(db: None) -> object:
    """The owner of the tenant alice. Password: ``alice-password``; so for the others."""
    return _person("alice")


@pytest.fixture
def alice_tenant(tier: object, alice: object) -> object:
    return _tenant("alice", tier, alice)


@pytest.fixture
def bob(alice_tenant: object) -> object:
    """A publisher in Alice's tenant."""
    from tenants.models import Membership

    user = _person("bob")
    Membership.objects.create(tenant=alice_tenant, user=user, role=Membership.Role.PUBLISHER)
    return user


@pytest.fixture
def charlie(db: None) -> object:
    """The owner of another tenant."""
    return _person("charlie")


@pytest.fixture
def charlie_tenant(tier: object, charlie: object) -> object:
    return _tenant("charlie", tier, charlie)


@pytest.fixture
def operator(public_tenant: object) -> object:
    """A superuser, at home on ``localhost``."""
    from tenants.models import User

    return User.objects.create_superuser("operator", "operator@example.org", "operator-password")


@pytest.fixture
def in_alice(alice_tenant: object) -> Iterator[object]:
    """The test's own queries go to Alice's schema."""
    with alice_tenant:
        yield alice_tenant


@pytest.fixture
def member(db: None) -> Callable[..., object]:
    """``member(tenant, role)``: a new person with that role there."""
    from tenants.models import Membership

    def make(tenant: object, role: str, username: str | None = None) -> object:
        user = _person(username or f"{tenant.slug}-{role}")
        Membership.objects.create(tenant=tenant, user=user, role=role)
        return user

    return make


@pytest.fixture
def client_for(db: None) -> Callable[..., Client]:
    """``client_for(host_or_tenant, user=None)``: a browser at that host, signed in."""

    def make(host: object, user: object = None) -> Client:
        name = host if isinstance(host, str) else HOSTS[host.schema_name]
        client = Client(HTTP_HOST=name, REMOTE_ADDR="127.0.0.1")
        if user is not None:
            client.force_login(user)
        return client

    return make


@pytest.fixture
def api_client(db: None) -> Callable[..., object]:
    """``api_client(tenant, user=None, token=None)``: a program at that tenant's host.

    With a user, it is given a management token of that user's membership, which must exist.
    """
    from rest_framework.test import APIClient

    from tenants import services
    from tenants.models import Membership

    def make(tenant: object, user: object = None, token: str | None = None) -> APIClient:
        client = APIClient(HTTP_HOST=HOSTS[tenant.schema_name])
        if user is not None:
            membership = Membership.objects.get(tenant=tenant, user=user)
            _, token = services.issue_token(membership=membership, name="test")
        if token is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        return client

    return make


@pytest.fixture
def tell() -> Iterator[Callable[..., SimpleNamespace]]:
    """``tell(tenant, worker, states)``: of targets and deployments, as a worker does it."""
    from catalog import store
    from contract import keys, target_states

    told, valkey_client = [], store.client()

    def write(tenant: object, worker: str, states: dict[str, str]) -> SimpleNamespace:
        value = target_states.encode(target_states.Told(f"node-{worker}", states))
        names = keys.target_tellers(str(tenant.pk)), keys.target_states(str(tenant.pk), worker)
        told.extend(names)
        valkey_client.sadd(names[0], worker)
        valkey_client.set(names[1], value, ex=target_states.EXPIRES)
        return SimpleNamespace(forget=lambda: valkey_client.delete(names[1]))

    yield write
    if told:
        valkey_client.delete(*told)
