"""Whether the base commit of a request has the newest version of its paths: asked of the repo service.

The paths are compared before the mutex is taken, because it may take a while. While it is held,
only the branch is read again: a push shares the mutex when it moves a branch, so a head that
is still the same then does not move before the lock is there. It is read from the database: pushes
that wait for the mutex may have all connections of the repo service.
"""

from __future__ import annotations

from dits.repo.v1 import commit_service_pb2
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import base_outdated
from shared.rpc.call import Call
from shared.rpc.peers import Peer

Q = sql.load(__file__)

COMPARE_SECONDS = 20.0


class BaseCommitCheck:
    """Compares base commits with branches."""

    def __init__(self, repo: Peer) -> None:
        self._repo = repo
        self._commits = CommitServiceStub(repo.channel)

    async def require_current(
        self, call: Call, base_commit: str, branch: str, paths: list[str]
    ) -> str:
        """Returns the head of the branch, or raises BASE_OUTDATED if it has newer changes of the paths."""
        request = commit_service_pb2.FindChangesSinceRequest(
            repository=str(call.repository.id),
            revision=branch,
            base_commit=base_commit,
            paths=paths,
        )
        method = self._commits.FindChangesSince
        answer = await self._repo.ask(method, request, call, COMPARE_SECONDS)
        changes = [(change.path, change.commit_hash) for change in answer.changes]
        if changes:
            raise base_outdated(branch, base_commit, changes)
        return str(answer.head)


async def fetch_head(connection: Connection, call: Call, branch: str) -> str | None:
    """Returns the commit that the branch is at, in a transaction that holds the mutex."""
    head: str | None = await connection.fetchval(Q.branch_head, call.repository.id, branch)
    return head
