"""Whether the base commit of a request has the newest version of its paths: asked of the repo service.

The paths are compared before the mutex is taken, because it may take a while. While it is held,
only the branch is asked for again: a push shares the mutex when it moves a branch, so a head that
is still the same then does not move before the lock is there.
"""

from __future__ import annotations

from dits.repo.v1 import commit_service_pb2, ref_service_pb2
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub

from shared.errors import base_outdated
from shared.rpc.call import Call
from shared.rpc.peers import Peer

COMPARE_SECONDS = 20.0
# While the mutex is held, and every other caller waits.
HEAD_SECONDS = 2.0


class BaseCommitCheck:
    """Compares base commits with branches."""

    def __init__(self, repo: Peer) -> None:
        self._repo = repo
        self._commits = CommitServiceStub(repo.channel)
        self._refs = RefServiceStub(repo.channel)

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

    async def fetch_head(self, call: Call, branch: str) -> str:
        """Returns the commit that the branch is at."""
        request = ref_service_pb2.GetBranchRequest(repository=str(call.repository.id), name=branch)
        answer = await self._repo.ask(self._refs.GetBranch, request, call, HEAD_SECONDS)
        return str(answer.branch.head)
