"""Who is told of an event, and what the texts call people and repositories."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from services.auth.notifications.catalog import Draft
from shared.db import sql
from shared.db.pool import Connection
from shared.outbox.stored_event import StoredEvent

Q = sql.load(__file__)

# Users that one statement reads.
BATCH = 1_000
UNKNOWN_ACTOR = "The server"


@dataclass(frozen=True, slots=True)
class Context:
    """What some events are about.

    Attributes:
        repositories: `owner/name` of those that are there, by id.
        organizations: their names, by id.
        usernames: of those who did it, by id.
    """

    repositories: dict[UUID, str]
    organizations: dict[UUID, str]
    usernames: dict[UUID, str]

    def where(self, event: StoredEvent) -> str | None:
        """Returns `owner/name` of its repository, or the name of its organisation; None if that is gone."""
        if event.repository_id:
            return self.repositories.get(event.repository_id)
        return self.organizations.get(event.organization_id) if event.organization_id else None

    def who(self, event: StoredEvent) -> str:
        """Returns the username of who did it."""
        return (
            self.usernames.get(event.actor_id, UNKNOWN_ACTOR) if event.actor_id else UNKNOWN_ACTOR
        )


async def read_context(connection: Connection, events: Sequence[StoredEvent]) -> Context:
    """Returns what the texts about some events need."""
    return await read_names(
        connection,
        {event.repository_id for event in events},
        {event.organization_id for event in events},
        {event.actor_id for event in events},
    )


async def read_names(
    connection: Connection,
    repository_ids: Set[UUID | None],
    organization_ids: Set[UUID | None],
    user_ids: Set[UUID | None],
) -> Context:
    """Returns the names of those that are there; None stands for nothing."""
    repositories = await connection.fetch(Q.repositories, list(repository_ids - {None}))
    organizations = await connection.fetch(Q.organizations, list(organization_ids - {None}))
    users = await connection.fetch(Q.usernames, list(user_ids - {None}))
    return Context(
        {row["id"]: f"{row['owner']}/{row['name']}" for row in repositories},
        {row["id"]: row["name"] for row in organizations},
        {row["id"]: row["username"] for row in users},
    )


async def find_mentioned(
    connection: Connection, usernames: Iterable[str]
) -> dict[str, tuple[UUID, str]]:
    """Returns id and e-mail key of the active users among some names, by the name in lower case."""
    names = sorted({name.lower() for name in usernames})
    rows = await connection.fetch(Q.mentioned, names) if names else []
    return {row["name"]: (row["id"], row["email_key"]) for row in rows}


async def read_followers(
    connection: Connection, repository_id: UUID, branches: Collection[str], after: UUID | None
) -> dict[UUID, list[str]]:
    """Returns the next BATCH followers of some branches, after a user, with the branches of each."""
    rows = await connection.fetch(
        *Q.bind.followers(
            repository_id=repository_id, names=list(branches), after=after, count=BATCH
        )
    )
    return {row["user_id"]: row["followed"] for row in rows}


async def find_administrators(
    connection: Connection, repository_id: UUID | None, organization_id: UUID | None
) -> list[UUID]:
    """Returns who administers a repository, or an organisation; the first BATCH of them."""
    rows = await connection.fetch(Q.administrators, repository_id, organization_id, BATCH)
    return [row["user_id"] for row in rows]


async def keep_readers(connection: Connection, drafts: Sequence[Draft]) -> list[Draft]:
    """Returns those drafts whose users are active and may read the repository now."""
    pairs = {(draft.user_id, draft.repository_id) for draft in drafts}
    rows = await connection.fetch(
        Q.readers, [user for user, _ in pairs], [repository for _, repository in pairs]
    )
    readers = {(row["user_id"], row["repo_id"]) for row in rows}
    return [draft for draft in drafts if (draft.user_id, draft.repository_id) in readers]
