"""The audit log: one row per security change, written in the transaction of the change."""

from __future__ import annotations

import json
from enum import StrEnum
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.rpc.call import Call

Q = sql.load(__file__)


class AuditAction(StrEnum):
    """What can be done to a resource, in alphabetical order: `noun.past_participle`."""

    BRANCH_PROTECTION_BYPASSED = "branch.protection_bypassed"
    BRANCH_PROTECTION_CHANGED = "branch.protection_changed"
    CONTENT_OBLITERATED = "content.obliterated"
    EMAIL_CHANGED = "email.changed"
    EMAIL_CHANGE_REQUESTED = "email.change_requested"
    EMAIL_VERIFIED = "email.verified"
    EVENT_DROPPED = "event.dropped"
    EVENT_REQUEUED = "event.requeued"
    GRANT_REMOVED = "grant.removed"
    GRANT_SET = "grant.set"
    INVITATION_CREATED = "invitation.created"
    INVITATION_DECLINED = "invitation.declined"
    INVITATION_REVOKED = "invitation.revoked"
    JOB_REQUEUED = "job.requeued"
    LINK_SHOWN = "link.shown"
    LOCK_FORCE_RELEASED = "lock.force_released"
    LOCK_STOLEN = "lock.stolen"
    LOCK_TRANSFERRED = "lock.transferred"
    MEMBER_ADDED = "member.added"
    MEMBER_REMOVED = "member.removed"
    MEMBER_ROLE_CHANGED = "member.role_changed"
    MFA_DISABLED = "mfa.disabled"
    MFA_ENABLED = "mfa.enabled"
    MFA_RECOVERY_CODES_REPLACED = "mfa.recovery_codes_replaced"
    OBLITERATION_LIFTED = "obliteration.lifted"
    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_DELETED = "organization.deleted"
    ORGANIZATION_UPDATED = "organization.updated"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105  no secret
    PASSWORD_RESET = "password.reset"  # noqa: S105  no secret
    PASSWORD_RESET_REQUIRED = "password.reset_required"  # noqa: S105  no secret
    REPOSITORY_CREATED = "repository.created"
    REPOSITORY_DELETED = "repository.deleted"
    REPOSITORY_DISABLED = "repository.disabled"
    REPOSITORY_ENABLED = "repository.enabled"
    REPOSITORY_PURGED = "repository.purged"
    REPOSITORY_TRANSFERRED = "repository.transferred"
    REPOSITORY_TRANSFER_CANCELLED = "repository.transfer_cancelled"
    REPOSITORY_TRANSFER_REQUESTED = "repository.transfer_requested"
    REPOSITORY_UNDELETED = "repository.undeleted"
    REPOSITORY_UPDATED = "repository.updated"
    SERVER_KEY_ROTATED = "server_key.rotated"
    SESSION_ELEVATED = "session.elevated"
    SESSION_ENDED = "session.ended"
    SESSION_OPENED = "session.opened"
    SESSION_REFRESHED = "session.refreshed"
    SESSION_REPLAYED = "session.replayed"
    SSH_KEY_ADDED = "ssh_key.added"
    SSH_KEY_DELETED = "ssh_key.deleted"
    TAG_PROTECTION_CHANGED = "tag.protection_changed"
    TEAM_CREATED = "team.created"
    TEAM_DELETED = "team.deleted"
    TEAM_MEMBER_ADDED = "team.member_added"
    TEAM_MEMBER_REMOVED = "team.member_removed"
    TEAM_MEMBER_ROLE_CHANGED = "team.member_role_changed"
    TEAM_UPDATED = "team.updated"
    TOKEN_APPROVED = "token.approved"  # noqa: S105  no secret
    TOKEN_CREATED = "token.created"  # noqa: S105  no secret
    TOKEN_REJECTED = "token.rejected"  # noqa: S105  no secret
    TOKEN_RENAMED = "token.renamed"  # noqa: S105  no secret
    TOKEN_REPORTED = "token.reported"  # noqa: S105  no secret
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  no secret
    USER_DELETED = "user.deleted"
    USER_KEY_ROTATED = "user_key.rotated"
    USER_KEY_STORED = "user_key.stored"
    USER_REGISTERED = "user.registered"
    USER_REINSTATED = "user.reinstated"
    USER_SUSPENDED = "user.suspended"
    USER_UPDATED = "user.updated"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_DISABLED = "webhook.disabled"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105  no secret
    WEBHOOK_UPDATED = "webhook.updated"


async def audit(
    connection: Connection,
    call: Call | None,
    action: AuditAction,
    resource_type: str,
    resource_id: UUID,
    resource_name: str,
    *,
    repository_id: UUID | None = None,
    organization_id: UUID | None = None,
    **details: str | int | bool | list[str],
) -> None:
    """Records that the caller (None = the system) did `action` to a resource; `details` hold no secret.

    Administrators see the row if it is about their repository, what is in it, or their organisation; that a
    repository belongs to an organisation need not be said.
    """
    caller = call.access.caller if call else None
    # Who changes an account without a credential is that account: it registers, or a link went to it.
    acting_id = resource_id if call and resource_type == "user" else None
    actor_type = "api_token" if caller is not None and not caller.is_session else "user"
    await connection.execute(
        *Q.bind.audit(
            actor_id=caller.user_id if caller else acting_id,
            actor_type=actor_type if call else "system",
            action=action,
            resource_type=resource_type,
            resource_id=str(resource_id),
            resource_name=resource_name,
            repository_id=repository_id,
            organization_id=organization_id,
            details=json.dumps(details) if details else None,
            peer_ip=call.peer_ip if call else None,
            user_agent=call.user_agent if call else None,
            request_id=call.request_id if call else None,
        )
    )
