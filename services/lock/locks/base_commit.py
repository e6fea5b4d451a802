"""Whether somebody who wants a lock works on the newest version: asked of the repo service.

The question is answered before the turn of the repository's locks, because it may take a while. In the
turn, only the branch is asked for again: pushes hold the same turn when they move it, so if it has not
moved by then, nobody changes the path any more before the lock is there.
"""

from __future__ import annotations

from dits.repo.v1 import commit_service_pb2, ref_service_pb2
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub

from shared.errors import base_outdated
from shared.rpc.call import Call
from shared.rpc.peers import Peer

FIND_SECONDS = 20.0
# In the turn, in which everybody else waits.
HEAD_SECONDS = 2.0


class Bases:
    """Compares base commits with branches."""

    def __init__(self, repo: Peer) -> None:
        self._repo = repo
        self._commits = CommitServiceStub(repo.channel)
        self._refs = RefServiceStub(repo.channel)

    async def check(self, call: Call, base: str, branch: str, paths: list[str]) -> str:
        """The head of the branch, in which none of the paths is newer; else BASE_OUTDATED."""
        request = commit_service_pb2.FindChangesSinceRequest(
            repository=str(call.repository.id), revision=branch, base_commit=base, paths=paths
        )
        method = self._commits.FindChangesSince
        answer = await self._repo.ask(method, request, call, FIND_SECONDS)
        newer = [(change.path, change.commit_hash) for change in answer.changes]
        if newer:
            raise base_outdated(branch, base, newer)
        return str(answer.head)

    async def head(self, call: Call, branch: str) -> str:
        """Where the branch is."""
        request = ref_service_pb2.GetBranchRequest(repository=str(call.repository.id), name=branch)
        answer = await self._repo.ask(self._refs.GetBranch, request, call, HEAD_SECONDS)
        return str(answer.branch.head)
