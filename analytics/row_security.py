"""SQL that makes PostgreSQL itself keep tenants' rows apart; for migrations.

Tenants are read for under the role ``hubpo_tenant`` with the tenant's id in the setting
``hubpo.tenant`` (``analytics.access``). Without the setting there are no rows. The role
may only read, and only tables that are guarded. The tables' owner, which is the platform
itself, is exempt: it writes for all tenants, and by COPY, which row security rules out.
"""

from __future__ import annotations

ROLE = "hubpo_tenant"

CREATE_ROLE = f"""
DO $$
DECLARE
    usable boolean := false;
BEGIN
    BEGIN
        CREATE ROLE {ROLE} NOLOGIN;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
                RAISE EXCEPTION 'The role {ROLE} is missing, and % may not create it.', current_user
                USING HINT = format('Have a superuser run: CREATE ROLE {ROLE} NOLOGIN; '
                    'GRANT {ROLE} TO %I;', current_user);
            END IF;
    END;
    IF current_setting('server_version_num')::int >= 160000 THEN
        usable := pg_has_role(current_user, '{ROLE}', 'SET');
    ELSE
        usable := pg_has_role(current_user, '{ROLE}', 'MEMBER');
    END IF;
    IF NOT usable THEN
        BEGIN
            EXECUTE format('GRANT {ROLE} TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'The database user % may not act as {ROLE}.', current_user
            USING HINT = format('Have a superuser run: GRANT {ROLE} TO %I;', current_user);
        END;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO {ROLE};
"""


def guard(table: str) -> str:
    """SQL that lets a tenant read its own rows of ``public.<table>``, which has a ``tenant_id``."""
    return f"""
ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.{table} FOR SELECT TO {ROLE}
    USING (tenant_id = nullif(current_setting('hubpo.tenant', true), '')::uuid);
GRANT SELECT ON public.{table} TO {ROLE};
"""
