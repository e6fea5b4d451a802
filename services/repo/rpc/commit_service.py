"""Commits: reading the history."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Signer

from services.repo.history import changes_since, revisions
from services.repo.history.ancestry import EPOCH
from services.repo.push.push import Pusher
from services.repo.push.stream import PushRequests
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# A page token carries the commits that the next page begins at; a wider history is cut into
# shorter pages by never walking further than this many commits at once.
STEP = 100


class CommitService:
    """The RPCs of dits.repo.v1.CommitService."""

    def __init__(self, database: Database, key: ServerKey, pusher: Pusher) -> None:
        self._database = database
        self._key = key
        self._pusher = pusher

    async def Push(self, requests: PushRequests, call: Call) -> pb.PushResponse:
        """Adds history and moves refs, all or nothing."""
        return await self._pusher.push(requests, call)

    async def GetCommit(self, request: pb.GetCommitRequest, call: Call) -> pb.GetCommitResponse:
        """One commit by any of its names."""
        repo_id = call.repository.id
        async with self._database.connection() as connection:
            revision = await revisions.find(connection, repo_id, request.revision)
            row = await connection.fetchrow(Q.get_commit, repo_id, revision.commit)
        if row is None:
            raise not_found("revision", request.revision)
        return pb.GetCommitResponse(commit=_message(row))

    async def FindChangesSince(
        self, request: pb.FindChangesSinceRequest, call: Call
    ) -> pb.FindChangesSinceResponse:
        """Paths that are newer than in the commit that somebody works from."""
        repo_id = call.repository.id
        base = validation.digest("base_commit", request.base_commit)
        validation.count("paths", request.paths, validation.MAX_PATHS)
        paths = [
            validation.path(f"paths[{i}]", path, directory=True)
            for i, path in enumerate(request.paths)
        ]
        async with self._database.connection() as connection:
            head = await revisions.find(connection, repo_id, request.revision)
            old = await revisions.find(connection, repo_id, base)
            found = await changes_since.changes(connection, repo_id, head, old, paths)
        changes = [
            pb.PathChange(path=path, commit_hash=found[path]) for path in paths if path in found
        ]
        return pb.FindChangesSinceResponse(head=head.commit, changes=changes)

    async def ListCommits(
        self, request: pb.ListCommitsRequest, call: Call
    ) -> pb.ListCommitsResponse:
        """A commit and its ancestors, children first."""
        page = Page(self._key, request, call)
        repo_id = call.repository.id
        async with self._database.connection() as connection:
            frontier = page.after
            if frontier is None:
                revision = await revisions.find(connection, repo_id, request.revision)
                frontier = [revision.commit]
            rows: list[Row] = []
            while frontier and len(rows) < page.size:
                most = min(STEP, page.size - len(rows))
                known = await _walk(connection, repo_id, frontier, most)
                taken, frontier = take(known, frontier, most)
                rows += [known[name] for name in taken]
        token = page.token(*frontier) if frontier else ""
        return pb.ListCommitsResponse(commits=map(_message, rows), next_page_token=token)


async def _walk(
    connection: Connection, repo_id: UUID, frontier: list[str], depth: int
) -> dict[str, Row]:
    rows = await connection.fetch(Q.walk, repo_id, frontier, depth + 1)
    return {row["hash"]: row for row in rows}


def take(known: Mapping[str, Row], frontier: list[str], most: int) -> tuple[list[str], list[str]]:
    """Takes up to `most` commits, highest generation first, and returns them and what comes next.

    A commit's generation is higher than that of all its ancestors, so every child of a commit is
    taken before the commit itself, and each commit once.
    """
    heap = [(-known[name]["generation"], name) for name in set(frontier)]
    heapq.heapify(heap)
    waiting = set(frontier)
    taken: list[str] = []
    while heap and len(taken) < most:
        _, name = heapq.heappop(heap)
        waiting.discard(name)
        taken.append(name)
        for parent in known[name]["parent_hashes"]:
            if parent not in waiting:
                waiting.add(parent)
                heapq.heappush(heap, (-known[parent]["generation"], parent))
    return taken, sorted(waiting)


def _message(row: Row) -> pb.Commit:
    return pb.Commit(
        hash=row["hash"],
        parent_hashes=row["parent_hashes"],
        tree_hash=row["tree_hash"],
        author=_signer(row, "author"),
        committer=_signer(row, "committer"),
        message=row["message"],
        create_time=row["created_at"],
    )


def _signer(row: Row, role: str) -> Signer:
    time_us = (row[f"{role}_timestamp"] - EPOCH) // timedelta(microseconds=1)
    return Signer(name=row[f"{role}_name"], email=row[f"{role}_email"], time_us=time_us)
