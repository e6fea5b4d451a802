"""What Watch shows: the events of one repository, of an owner's, or of all that the caller was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.repo.repositories.owners import Owner
from shared.db import sql
from shared.db.pool import Database, Row
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)

# Every change wakes the streams of many repositories: they look at most so often.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WatchedEvents:
    """The events that one call of Watch shows; see EventScope.

    Attributes:
        call: names the repository, if there is only one; the chain checks the right to it again and again.
        owner: whose repositories are watched; None = those that the caller was given a right on.
    """

    call: Call
    names: frozenset[str]
    owner: Owner | None = None

    @property
    def repository_id(self) -> UUID | None:
        """The only repository."""
        repository = self.call.access.repository
        return repository.id if repository else None

    @property
    def pause_seconds(self) -> float:
        """The least time between two looks."""
        return 0.0 if self.repository_id else PAUSE_SECONDS

    async def choose_visible(self, database: Database, heads: Sequence[Row]) -> Sequence[Row]:
        """Returns those that the caller's right suffices for at this moment."""
        if not self._covers_webhooks:
            heads = [head for head in heads if not _is_of_webhook(head["type"])]
        rights = await self._fetch_rights(database, {head["repo_id"] for head in heads} - {None})
        return [
            head
            for head in heads
            if rights.get(head["repo_id"], Permission.NONE) >= _find_needed(head["type"])
        ]

    async def read_time(self, database: Database, clock: datetime) -> datetime:
        """Returns the database's time."""
        del database
        return clock

    @property
    def _covers_webhooks(self) -> bool:
        caller = self.call.access.caller
        return caller is None or caller.scopes is None or "webhook:read" in caller.scopes

    async def _fetch_rights(
        self, database: Database, repository_ids: set[UUID]
    ) -> Mapping[UUID, int]:
        """Returns the caller's right on those of some repositories that are watched."""
        if self.call.access.repository is not None:
            return {self.call.repository.id: self.call.repository.permission}
        caller = self.call.caller
        asked = list(repository_ids if caller.reach is None else repository_ids & caller.reach)
        if self.owner is None:
            refused_by = list(caller.refused_by)
            rows = await database.fetch(Q.granted_rights, caller.user_id, asked, refused_by)
        elif self.owner.id in caller.refused_by:
            rows = []
        else:
            owner = (self.owner.type, self.owner.id)
            rows = await database.fetch(Q.rights_on_owned, caller.user_id, asked, *owner)
        return {row["id"]: row["permission"] for row in rows}


def _find_needed(name: str) -> Permission:
    """Returns the right that an event of this name is shown with."""
    is_private = _is_of_webhook(name) or name.startswith(("repo.access_", "repo.storage_"))
    return Permission.ADMIN if is_private else Permission.READ


def _is_of_webhook(name: str) -> bool:
    return name.startswith("webhook.")
