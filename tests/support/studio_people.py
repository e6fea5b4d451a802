"""The people of a studio, and the calls by which they see what they may."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from dits.lock.v1.lock_service_pb2 import ListLocksRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest, Repository

from tests.support.api import Account, Api
from tests.support.desks import Call, Day, Desk
from tests.support.organizations import Studio


@dataclass(slots=True)
class People:
    """The studio of the day: `ada` owns it, `bob` is an administrator, `cyn` an artist.

    Attributes:
        ada, bob, cyn: the accounts with the sessions of their clients.
        film, secret: the repositories; the team of `cyn` may write to the first.
    """

    day: Day
    desks: dict[str, Desk]
    studio: Studio
    ada: Account
    bob: Account
    cyn: Account
    film: Repository
    secret: Repository

    def reads(self, who: Account, repository: Repository | None = None) -> list[Call]:
        """Returns calls to two services that everyone with a right on the repository may make."""
        address, api = (repository or self.film).id, self.day.api
        get, locks = GetRepositoryRequest(repository=address), ListLocksRequest(repository=address)
        return [
            partial(api.repositories.GetRepository, get, metadata=who.auth),
            partial(api.locks.ListLocks, locks, metadata=who.auth),
        ]

    async def read_film(self, *accounts: Account) -> None:
        """Makes these calls as those who may."""
        for who in accounts:
            for call in self.reads(who):
                await call()


async def get_repository(api: Api, who: Account, name: str) -> Repository:
    """Returns a repository of the studio, as somebody sees it."""
    request = GetRepositoryRequest(repository=f"studio/{name}")
    found = await api.repositories.GetRepository(request, metadata=who.auth)
    repository: Repository = found.repository
    return repository
