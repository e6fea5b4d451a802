"""Many access questions of one caller, answered by one query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from dits.auth.v1 import access_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Database
from shared.errors import invalid_field
from shared.rpc import validation
from shared.rpc.call import Caller
from shared.rpc.policy import Permission

Q = sql.load(__file__)

MAX_CHECKS = 1000

# A repository as requests name it: its UUID, or owner and name in lower case.
Address = UUID | tuple[str, str]


@dataclass(frozen=True, slots=True)
class AccessCheck:
    """A question: may the caller do this with that repository?"""

    address: Address
    permission: Permission

    @classmethod
    def parse(cls, field: str, check: pb.AccessCheck) -> Self:
        """Returns what a request asks. Raises INVALID_FIELD."""
        address = validation.repository_address(f"{field}.repository", check.repository)
        if not Permission.READ <= check.permission <= Permission.ADMIN:
            raise invalid_field(f"{field}.permission", "must be READ, WRITE or ADMIN")
        return cls(address, Permission(check.permission))


@dataclass(frozen=True, slots=True)
class FoundRight:
    """A repository that the caller may see, and the right on it."""

    repository_id: UUID
    permission: Permission


def parse_checks(request: pb.BatchCheckAccessRequest) -> list[AccessCheck]:
    """Returns the questions of a request. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
    validation.count("checks", request.checks, MAX_CHECKS)
    return [
        AccessCheck.parse(f"checks[{index}]", check) for index, check in enumerate(request.checks)
    ]


async def find_rights(
    database: Database, caller: Caller, addresses: Iterable[Address]
) -> Mapping[Address, FoundRight]:
    """Returns the rights on those repositories that the caller may see with its credential."""
    asked = list(dict.fromkeys(addresses))
    query = Q.bind.check_repositories(
        user_id=caller.user_id,
        refused_by=list(caller.refused_by),
        ids=[each if isinstance(each, UUID) else None for each in asked],
        owners=[None if isinstance(each, UUID) else each[0] for each in asked],
        names=[None if isinstance(each, UUID) else each[1] for each in asked],
    )
    rows = await database.fetch(*query)
    return {
        asked[row["position"] - 1]: FoundRight(row["repo_id"], Permission(row["level"]))
        for row in rows
        if caller.reach is None or row["repo_id"] in caller.reach
    }


def answer_check(check: AccessCheck, found: FoundRight | None) -> pb.AccessAnswer:
    """Returns the answer to a question; one that looks absent and one that is absent are alike."""
    if found is None:
        return pb.AccessAnswer()
    return pb.AccessAnswer(
        allowed=found.permission >= check.permission,
        repository_id=str(found.repository_id),
        permission=found.permission.value,  # type: ignore[arg-type]
    )
