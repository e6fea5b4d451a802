"""Webhooks of repositories and organisations: each change of them is in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from services.repo.webhooks.signatures import seal_secret
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import DomainError, limit_reached, not_found
from shared.records.audit import AuditAction, audit
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

MAX_WEBHOOKS = 20


@dataclass(frozen=True, slots=True)
class WebhookOwner:
    """The repository or the organisation that webhooks belong to: one of the two."""

    repository_id: UUID | None = None
    organization_id: UUID | None = None

    @property
    def ids(self) -> tuple[UUID | None, UUID | None]:
        """Both, as queries take them."""
        return self.repository_id, self.organization_id


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """New values of a webhook; None = as before."""

    url: str | None
    events: list[str] | None
    active: bool | None


async def hold_owner(connection: Connection, call: Call, owner: WebhookOwner) -> None:
    """Keeps a repository with its owner until the commit: what is told to a webhook is for the owner.

    Raises CONTENTION if it went to another one after the call was let in, NOT_FOUND.
    """
    if owner.repository_id is not None:
        await require_unchanged(connection, call)


async def create_webhook(
    connection: Connection,
    call: Call,
    owner: WebhookOwner,
    new: WebhookChange,
    key: ServerKey,
    secret: str,
) -> Row:
    """Creates a webhook and returns it. Raises LIMIT_REACHED."""
    await hold_owner(connection, call, owner)
    await connection.execute(Q.lock_owner, str(owner.repository_id or owner.organization_id))
    if await connection.fetchval(Q.count_webhooks, *owner.ids) >= MAX_WEBHOOKS:
        raise limit_reached("webhooks", MAX_WEBHOOKS)
    webhook_id = uuid4()
    await connection.execute(
        *Q.bind.insert_webhook(
            webhook_id=webhook_id,
            repository_id=owner.repository_id,
            organization_id=owner.organization_id,
            url=new.url,
            secret=seal_secret(key, webhook_id, secret),
            events=new.events,
            active=new.active is not False,
            user_id=call.caller.user_id,
        )
    )
    row = await get_webhook(connection, owner, webhook_id)
    await _record(connection, call, AuditAction.WEBHOOK_CREATED, row)
    return row


async def get_webhook(connection: Connection, owner: WebhookOwner, webhook_id: UUID) -> Row:
    """Returns a webhook of an owner. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.get_webhook, webhook_id, *owner.ids)
    if row is None:
        raise _absent(webhook_id)
    return row


async def list_webhooks(connection: Connection, owner: WebhookOwner) -> Sequence[Row]:
    """Returns all webhooks of an owner, the oldest first."""
    return await connection.fetch(Q.list_webhooks, *owner.ids)


async def update_webhook(
    connection: Connection, call: Call, owner: WebhookOwner, webhook_id: UUID, change: WebhookChange
) -> Row:
    """Changes a webhook and returns it. Raises NOT_FOUND."""
    await hold_owner(connection, call, owner)
    changed = await connection.fetchrow(
        *Q.bind.update_webhook(
            webhook_id=webhook_id,
            repository_id=owner.repository_id,
            organization_id=owner.organization_id,
            url=change.url,
            events=change.events,
            active=change.active,
        )
    )
    if changed is None:
        raise _absent(webhook_id)
    row = await get_webhook(connection, owner, webhook_id)
    await _record(connection, call, AuditAction.WEBHOOK_UPDATED, row)
    return row


async def delete_webhook(
    connection: Connection, call: Call, owner: WebhookOwner, webhook_id: UUID
) -> None:
    """Deletes a webhook; its deliveries are purged later. Raises NOT_FOUND."""
    await hold_owner(connection, call, owner)
    row = await get_webhook(connection, owner, webhook_id)
    if await connection.fetchrow(Q.delete_webhook, webhook_id, *owner.ids) is None:
        raise _absent(webhook_id)
    await _record(connection, call, AuditAction.WEBHOOK_DELETED, row)


async def rotate_secret(
    connection: Connection,
    call: Call,
    owner: WebhookOwner,
    webhook_id: UUID,
    sealed: bytes,
    overlap: timedelta,
) -> Row:
    """Gives a webhook another secret and returns it; the present one stays valid for `overlap`.

    Raises NOT_FOUND.
    """
    await hold_owner(connection, call, owner)
    rotated = await connection.fetchrow(
        *Q.bind.rotate_secret(
            webhook_id=webhook_id,
            repository_id=owner.repository_id,
            organization_id=owner.organization_id,
            secret=sealed,
            overlap=overlap,
        )
    )
    if rotated is None:
        raise _absent(webhook_id)
    row = await get_webhook(connection, owner, webhook_id)
    await _record(connection, call, AuditAction.WEBHOOK_SECRET_ROTATED, row)
    return row


async def _record(connection: Connection, call: Call, action: AuditAction, row: Row) -> None:
    # The URL may hold a secret: its host says enough.
    await audit(
        connection,
        call,
        action,
        "webhook",
        row["id"],
        urlsplit(row["url"]).hostname or "",
        repository_id=row["repo_id"],
        organization_id=row["org_id"],
        events=row["events"],
        active=row["active"],
    )


def _absent(webhook_id: UUID) -> DomainError:
    return not_found("webhook", str(webhook_id))
