"""Every write to tenants, people and tokens that means something.

All are keyword-only and atomic, and raise Django's ValidationError, with a code and a
sentence that says what to do, for what the caller did wrong.
"""

from tenants.services.domains import add_domain, remove_domain
from tenants.services.life import (
    create_tenant,
    provision,
    purge_deleted,
    request_deletion,
    resume_tenant,
    retry_provisioning,
    suspend_tenant,
    undo_deletion,
    update_tenant,
)
from tenants.services.members import add_member, change_role, invite_member, remove_member
from tenants.services.people import (
    check_operator_stays,
    create_user,
    ensure_operator,
    reset_password,
    set_operator,
)
from tenants.services.platform import ensure_public, ensure_tiers, save_tier
from tenants.services.tokens import issue_token, revoke_token

__all__ = [
    "add_domain",
    "add_member",
    "change_role",
    "check_operator_stays",
    "create_tenant",
    "create_user",
    "ensure_operator",
    "ensure_public",
    "ensure_tiers",
    "invite_member",
    "issue_token",
    "provision",
    "purge_deleted",
    "remove_domain",
    "remove_member",
    "request_deletion",
    "reset_password",
    "resume_tenant",
    "retry_provisioning",
    "revoke_token",
    "save_tier",
    "set_operator",
    "suspend_tenant",
    "undo_deletion",
    "update_tenant",
]
