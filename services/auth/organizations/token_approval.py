"""API tokens on the repositories of an organisation: who waits for approval, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dits.auth.v1 import organization_token_service_pb2 as pb
from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.auth.v1.token_service_pb2 import ApiToken

from services.auth.notifications import texts
from services.auth.notifications.audience import find_administrators
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import deliver
from services.auth.organizations.membership import Membership
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, not_found
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call, RepositoryAccess

Q = sql.load(__file__)

# As the database knows it: whether a decision says yes; None = there is none.
_APPROVED: Mapping[pb.TokenStatus.ValueType, bool | None] = {
    pb.TOKEN_STATUS_PENDING: None,
    pb.TOKEN_STATUS_APPROVED: True,
    pb.TOKEN_STATUS_REJECTED: False,
}
_STATUSES = {approved: status for status, approved in _APPROVED.items()}


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens are listed.

    Attributes:
        is_any: all of them; else those of the decision `approved`.
    """

    is_any: bool
    approved: bool | None

    @classmethod
    def parse(cls, status: pb.TokenStatus.ValueType) -> TokenFilter:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        if status == pb.TOKEN_STATUS_UNSPECIFIED:
            return cls(is_any=True, approved=None)
        if status not in _APPROVED:
            raise invalid_field("status", "is no status")
        return cls(is_any=False, approved=_APPROVED[status])


async def list_organization_tokens(
    connection: Connection,
    membership: Membership,
    wanted: TokenFilter,
    after: tuple[datetime, UUID] | None,
    count: int,
) -> list[Row]:
    """Returns live tokens that could reach repositories of an organisation, newest first."""
    created, token_id = after or (None, None)
    query = Q.bind.list_organization_tokens(
        organization_id=membership.organization_id,
        is_any=wanted.is_any,
        approved=wanted.approved,
        created_at=created,
        id=token_id,
        only=None,
        count=count,
    )
    return await connection.fetch(*query)


async def decide_on_token(
    connection: Connection,
    call: Call,
    membership: Membership,
    token_id: UUID,
    *,
    approved: bool,
) -> Row:
    """Lets a token in, or keeps it out, and tells its owner; returns it. Raises NOT_FOUND."""
    organization_id = membership.organization_id
    row = await _read_token(connection, membership, token_id)
    if row["approved"] is approved:
        return row
    await connection.execute(Q.decide, token_id, organization_id, approved, call.caller.user_id)
    action = AuditAction.TOKEN_APPROVED if approved else AuditAction.TOKEN_REJECTED
    await audit(
        connection, call, action, "api_token", token_id, row["name"],
        organization_id=organization_id, owner=str(row["user_id"]),
    )  # fmt: skip
    await _tell_owner(connection, membership, row, approved=approved)
    return await _read_token(connection, membership, token_id)


async def ask_for_approval(
    connection: Connection, call: Call, token: ApiToken, repositories: Sequence[RepositoryAccess]
) -> None:
    """Tells the administrators of those organisations for whose approval a new token waits."""
    owners = {each.organization_id: each.owner for each in repositories if each.organization_id}
    token_id = UUID(token.id)
    for row in await connection.fetch(Q.awaited, token_id, list(owners)):
        name = owners[row["org_id"]]
        title, message = texts.describe_request(call.caller.username, name, token.name)
        people = await find_administrators(connection, None, row["org_id"])
        drafts = [
            Draft(
                user_id=user_id,
                type=NotificationType.NOTIFICATION_TYPE_TOKEN_PENDING,
                source_id=token_id,
                repository_id=None,
                title=title,
                message=message,
                link=texts.link_tokens(name),
            )
            for user_id in people
            if user_id != call.caller.user_id
        ]
        await deliver(connection, drafts)


def describe_organization_token(row: Row) -> pb.OrganizationToken:
    """Returns the message of a token, as administrators of an organisation see it."""
    return pb.OrganizationToken(
        id=str(row["id"]),
        name=row["name"],
        user_id=str(row["user_id"]),
        username=row["username"],
        scopes=sorted(row["scopes"]),
        repository_ids=sorted(map(str, row["repository_ids"] or ())),
        create_time=row["created_at"],
        expire_time=row["expires_at"],
        last_use_time=row["last_used_at"],
        status=_STATUSES[row["approved"]],
        refusal=row["refusal"] or "",
    )


async def _read_token(connection: Connection, membership: Membership, token_id: UUID) -> Row:
    """Returns a token that could reach repositories of an organisation. Raises NOT_FOUND."""
    query = Q.bind.list_organization_tokens(
        organization_id=membership.organization_id,
        is_any=True,
        approved=None,
        created_at=None,
        id=None,
        only=token_id,
        count=1,
    )
    row = await connection.fetchrow(*query)
    if row is None:
        raise not_found("api_token", str(token_id))
    return row


async def _tell_owner(
    connection: Connection, membership: Membership, row: Row, *, approved: bool
) -> None:
    if row["user_id"] == membership.user_id:
        return
    title = texts.describe_decision(membership.name, row["name"], approved=approved)
    told = (
        NotificationType.NOTIFICATION_TYPE_TOKEN_APPROVED
        if approved
        else NotificationType.NOTIFICATION_TYPE_TOKEN_REJECTED
    )
    draft = Draft(
        user_id=row["user_id"],
        type=told,
        source_id=row["id"],
        repository_id=None,
        title=title,
        message="",
        link=texts.TOKENS_LINK,
    )
    await deliver(connection, [draft])
