"""Whether somebody who wants a lock works on the newest version: asked of the repo service.

The question is answered before the turn of the repository's locks, because it may take a while. In the
turn, only the branch is asked for again: pushes hold the same turn when they move it, so if it has not
moved by then, nobody changes the path any more before the lock is there.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import grpc
import structlog
from dits.repo.v1 import commit_service_pb2, ref_service_pb2
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub

from shared.errors import base_outdated, dependency_unavailable, not_found, scope_missing
from shared.rpc.call import Call

log = structlog.get_logger(__name__)

FIND_SECONDS = 20.0
# In the turn, in which everybody else waits.
HEAD_SECONDS = 2.0

Answer = TypeVar("Answer")


class Bases:
    """Compares base commits with branches."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._commits = CommitServiceStub(channel)
        self._refs = RefServiceStub(channel)

    async def check(self, call: Call, base: str, branch: str, paths: list[str]) -> str:
        """The head of the branch, in which none of the paths is newer; else BASE_OUTDATED."""
        request = commit_service_pb2.FindChangesSinceRequest(
            repository=str(call.repository.id), revision=branch, base_commit=base, paths=paths
        )
        answer = await _ask(
            self._commits.FindChangesSince(request, metadata=_identity(call), timeout=FIND_SECONDS),
            base if not branch else f"{branch} or {base}",
        )
        newer = [(change.path, change.commit_hash) for change in answer.changes]
        if newer:
            raise base_outdated(branch, base, newer)
        return str(answer.head)

    async def head(self, call: Call, branch: str) -> str:
        """Where the branch is."""
        request = ref_service_pb2.GetBranchRequest(repository=str(call.repository.id), name=branch)
        answer = await _ask(
            self._refs.GetBranch(request, metadata=_identity(call), timeout=HEAD_SECONDS), branch
        )
        return str(answer.branch.head)


def _identity(call: Call) -> tuple[tuple[str, str], ...]:
    """Of the caller: the repo service answers what the caller may know."""
    return (("authorization", f"Bearer {call.token}"), ("x-request-id", call.request_id))


async def _ask(question: Awaitable[Answer], revision: str) -> Answer:
    try:
        return await question
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise not_found("revision", revision) from None
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            raise scope_missing("repo:read") from None
        log.warning("repo not asked", code=error.code().name, details=error.details())
        raise dependency_unavailable("repo") from error
