"""``python -m launch.deployable``: Django's checks as in production, and that no migration lacks.

Needs no database: the settings are those of a deployment, with an address nobody answers.
"""

from __future__ import annotations

import os
import secrets
import warnings


def main() -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "HUBPO_HTTPS": "1",
        "HUBPO_SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    os.environ.pop("HUBPO_DEBUG", None)
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("check", deploy=True, fail_level="WARNING")
    # `makemigrations` would like to compare with a database. Without the pool, which keeps
    # trying, it learns at once that there is none, and warns.
    connection.settings_dict["OPTIONS"].pop("pool", None)
    warnings.filterwarnings("ignore", message="Got an error checking a consistent migration")
    call_command("makemigrations", check=True, dry_run=True)


if __name__ == "__main__":
    main()
