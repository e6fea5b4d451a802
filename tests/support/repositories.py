"""Short calls of RepositoryService about one repository."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dits.repo.v1 import repository_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.api import Account, Api


@dataclass(frozen=True, slots=True)
class Holding:
    """A repository and its owner."""

    api: Api
    owner: Account
    repository: pb.Repository

    @classmethod
    async def open(cls, api: Api, name: str = "", **settings: Any) -> Holding:
        """Creates a repository with an owner of its own."""
        owner = await api.account()
        return cls(api, owner, await api.repository(owner, name, **settings))

    @property
    def id(self) -> str:
        """Its UUID."""
        return self.repository.id

    async def get(self, address: str = "", who: Account | None = None) -> pb.Repository:
        """GetRepository."""
        request = pb.GetRepositoryRequest(repository=address or self.id)
        auth = (who or self.owner).auth
        return (await self.api.repositories.GetRepository(request, metadata=auth)).repository

    async def update(self, who: Account | None = None, **values: Any) -> pb.Repository:
        """UpdateRepository, of the fields that are given."""
        request = pb.UpdateRepositoryRequest(
            repository=self.id,
            values=pb.RepositoryValues(**values),
            update_mask=FieldMask(paths=list(values)),
        )
        auth = (who or self.owner).auth
        return (await self.api.repositories.UpdateRepository(request, metadata=auth)).repository

    async def delete(
        self, who: Account | None = None, **fields: Any
    ) -> pb.DeleteRepositoryResponse:
        """DeleteRepository."""
        request = pb.DeleteRepositoryRequest(**{"repository": self.id, **fields})
        auth = (who or self.owner).auth
        response: pb.DeleteRepositoryResponse = await self.api.repositories.DeleteRepository(
            request, metadata=auth
        )
        return response

    async def undelete(self, who: Account | None = None, name: str = "") -> pb.Repository:
        """UndeleteRepository."""
        request = pb.UndeleteRepositoryRequest(repository_id=self.id, name=name)
        auth = (who or self.owner).auth
        return (await self.api.repositories.UndeleteRepository(request, metadata=auth)).repository

    async def set_disabled(self, who: Account, reason: str = "") -> None:
        """DisableRepository for a reason, else EnableRepository."""
        if reason:
            await self.api.repositories.DisableRepository(
                pb.DisableRepositoryRequest(repository_id=self.id, reason=reason),
                metadata=who.auth,
            )
        else:
            await self.api.repositories.EnableRepository(
                pb.EnableRepositoryRequest(repository_id=self.id), metadata=who.auth
            )

    async def events(self) -> list[str]:
        """Names of the events about it, in order."""
        rows = await self.api.fetch(
            "SELECT type FROM events WHERE repo_id = $1::uuid ORDER BY id", self.id
        )
        return [row["type"] for row in rows]

    async def audited(self) -> list[str]:
        """The actions on it in the audit log, in order."""
        rows = await self.api.fetch(
            "SELECT action FROM audit_log WHERE resource_id = $1 ORDER BY timestamp", self.id
        )
        return [row["action"] for row in rows]


async def make_due(api: Api, films: Holding, age: timedelta = timedelta(days=30)) -> None:
    """Makes a deleted repository one that was deleted so long ago."""
    await api.fetch(
        "UPDATE repositories SET deleted_at = now() - $2::interval WHERE id = $1::uuid",
        films.id,
        age,
    )
