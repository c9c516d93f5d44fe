"""What PostgreSQL itself lets a tenant's session see of others: nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from analytics import partitions, row_security
from analytics.access import OtherTenant, tenant_session
from analytics.models import RollupDay, RollupHour, RollupMinute, UsageRecord

RECORDS = import_module("analytics.migrations.0001_usage").RECORDS
TIME_ZERO = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
ALICE, CHARLIE = UUID(int=0xA), UUID(int=0xC)
TABLES = ["usagerecord", "rollupminute", "rolluphour", "rollupday"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows_of_both(db: None) -> None:
    partitions.ensure([TIME_ZERO.date()])
    for tenant in (ALICE, CHARLIE):
        UsageRecord.objects.create(
            at=TIME_ZERO, id=uuid4(), tenant_id=tenant, method="GET", path="/x", status=200
        )
        for model in (RollupMinute, RollupHour, RollupDay):
            model.objects.create(tenant_id=tenant, start=TIME_ZERO, status_class=2, calls=1)


def run(sql: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def refused(sql: str) -> str:
    """What PostgreSQL says to it."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        run(sql)
    return str(caught.value)


@pytest.mark.parametrize("table", TABLES)
def test_a_session_shows_its_own_tenants_rows_alone(rows_of_both: None, table: str) -> None:
    everybody = f"SELECT tenant_id FROM analytics_{table}"
    for tenant in (ALICE, CHARLIE):
        with tenant_session(tenant):
            assert run(everybody) == [(tenant,)]
    with tenant_session(uuid4()):
        assert run(everybody) == []
    assert len(run(everybody)) == 2


@pytest.mark.parametrize("table", TABLES)
def test_asking_for_the_other_tenant_gives_nothing(rows_of_both: None, table: str) -> None:
    with tenant_session(ALICE):
        assert run(f"SELECT 1 FROM analytics_{table} WHERE tenant_id = '{CHARLIE}'") == []
        assert run(f"SELECT 1 FROM analytics_{table} WHERE true OR tenant_id = '{CHARLIE}'") == [
            (1,)
        ]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", ["RESET hubpo.tenant", "SET LOCAL hubpo.tenant = ''"])
def test_without_a_tenant_there_is_nothing(rows_of_both: None, table: str, how: str) -> None:
    with tenant_session(ALICE):
        run(how)
        assert run(f"SELECT count(*) FROM analytics_{table}") == [(0,)]


@pytest.mark.parametrize("table", TABLES)
def test_a_session_writes_nothing(rows_of_both: None, table: str) -> None:
    with tenant_session(ALICE):
        for statement in (
            f"DELETE FROM analytics_{table}",
            f"UPDATE analytics_{table} SET tenant_id = '{ALICE}'",
            f"INSERT INTO analytics_{table} (tenant_id) VALUES ('{ALICE}')",
            f"TRUNCATE analytics_{table}",
            f"DROP TABLE analytics_{table}",
            f"ALTER TABLE analytics_{table} DISABLE ROW LEVEL SECURITY",
        ):
            assert "permission denied" in refused(statement) or "must be owner" in refused(
                statement
            )


def test_a_partition_cannot_be_read_past_its_parent(rows_of_both: None) -> None:
    with tenant_session(ALICE):
        assert "permission denied" in refused(
            f"SELECT * FROM analytics_usagerecord_{TIME_ZERO:%Y%m%d}"
        )


def test_other_tables_cannot_be_read(rows_of_both: None) -> None:
    with tenant_session(ALICE):
        for table in ("tenants_user", "analytics_poisonentry", "django_session"):
            assert "permission denied" in refused(f"SELECT * FROM public.{table}")


def test_the_role_ends_with_the_session(rows_of_both: None) -> None:
    before = run("SELECT current_user")
    with tenant_session(ALICE):
        assert run("SELECT current_user") == [("hubpo_tenant",)]
        with tenant_session(str(ALICE)):
            assert run("SELECT count(*) FROM analytics_rollupday") == [(1,)]
        assert run("SELECT current_user") == [("hubpo_tenant",)]
    assert run("SELECT current_user") == before
    assert run("SELECT current_setting('hubpo.tenant')") == [("",)]


def test_the_role_ends_with_a_session_that_fails(rows_of_both: None) -> None:
    before = run("SELECT current_user")
    with pytest.raises(DatabaseError), tenant_session(ALICE):
        run("SELECT 1 / 0")
    assert run("SELECT current_user") == before
    with pytest.raises(KeyError), tenant_session(ALICE):
        raise KeyError
    assert run("SELECT current_user") == before


@pytest.mark.django_db(transaction=True)
def test_a_session_of_its_own_transaction_leaves_the_connection_as_it_was() -> None:
    before = run("SELECT current_user")
    with tenant_session(ALICE):
        assert run("SELECT current_user") == [("hubpo_tenant",)]
    assert run("SELECT current_user") == before


def test_one_tenants_session_is_not_had_inside_anothers(rows_of_both: None) -> None:
    with tenant_session(ALICE):
        with pytest.raises(OtherTenant), tenant_session(CHARLIE):
            raise AssertionError("never reached")
        assert run("SELECT tenant_id FROM analytics_rollupday") == [(ALICE,)]


def test_what_is_no_tenant_has_no_session(db: None) -> None:
    with pytest.raises(ValueError, match="badly formed"), tenant_session("' OR true --"):
        raise AssertionError("never reached")


@pytest.fixture
def ordinary_owner(db: None) -> Iterator[str]:
    """A database user without superpowers, who may make roles; the name of its own database."""
    with _outside() as server:
        server.execute("CREATE ROLE ordinary LOGIN CREATEROLE")
        server.execute("CREATE DATABASE ordinary OWNER ordinary")
        server.execute("GRANT hubpo_tenant TO ordinary WITH ADMIN OPTION")
        yield "ordinary"
        server.execute("DROP DATABASE ordinary WITH (FORCE)")
        server.execute("DROP ROLE ordinary")


def _outside(user: str = "postgres", database: str = "postgres") -> psycopg.Connection:
    """A connection of its own, with what Django does to it left out."""
    host = connection.settings_dict["HOST"]
    return psycopg.connect(host=host, user=user, dbname=database, autocommit=True)


@pytest.mark.django_db(transaction=True)
def test_the_tables_work_for_an_owner_without_superpowers(ordinary_owner: str) -> None:
    with _outside(ordinary_owner, ordinary_owner) as owner:
        owner.execute(RECORDS)
        owner.execute(row_security.CREATE_ROLE)
        owner.execute(row_security.guard("analytics_usagerecord"))
        owner.execute("CREATE TABLE day PARTITION OF analytics_usagerecord DEFAULT")
        for tenant in (ALICE, CHARLIE):
            with owner.cursor().copy(
                "COPY analytics_usagerecord (at, id, tenant_id, method, path, status) FROM STDIN"
            ) as copy:
                copy.write_row([TIME_ZERO, uuid4(), tenant, "GET", "/x", 200])
        everybody = "SELECT tenant_id FROM analytics_usagerecord"
        assert len(owner.execute(everybody).fetchall()) == 2
        with owner.transaction():
            owner.execute("SET LOCAL ROLE hubpo_tenant")
            assert owner.execute(everybody).fetchall() == []
            owner.execute("SELECT set_config('hubpo.tenant', %s, true)", [str(ALICE)])
            assert owner.execute(everybody).fetchall() == [(ALICE,)]


# Partitions


def test_days_are_made_once_and_dropped_whole(db: None) -> None:
    partitions.drop(date(9999, 1, 1))
    days = [date(2026, 3, 14) + timedelta(days=number) for number in range(3)]
    assert partitions.ensure([days[2], days[0], days[0]]) == [days[0], days[2]]
    assert partitions.ensure(days) == [days[1]]
    assert partitions.existing()[:3] == days
    assert partitions.drop(days[1]) == [days[0]]
    assert days[0] not in partitions.existing()
    assert days[1] in partitions.existing()


def test_a_day_begins_at_midnight_in_utc(db: None) -> None:
    partitions.ensure([date(2026, 3, 14), date(2026, 3, 15)])
    last = datetime(2026, 3, 14, 23, 59, 59, 999999, tzinfo=UTC)
    for at in (last, last + timedelta(microseconds=1)):
        UsageRecord.objects.create(
            at=at, id=uuid4(), tenant_id=ALICE, method="GET", path="/x", status=200
        )
    for day in (14, 15):
        assert run(f"SELECT count(*) FROM analytics_usagerecord_202603{day}") == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_a_day_that_several_want_at_once_is_made_once() -> None:
    partitions.drop(date(9999, 1, 1))
    barrier = threading.Barrier(4)

    def want(_: int) -> list[date]:
        barrier.wait()
        try:
            return partitions.ensure([TIME_ZERO.date()])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(want, range(4)))
    assert sorted(map(len, made)) == [0, 0, 0, 1]
    assert partitions.existing() == [TIME_ZERO.date()]
