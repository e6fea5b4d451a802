"""Commits: reading the history."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import UTC, timedelta
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
# What the commits of one page come to at most; the rest of a message of 4 MiB is the page token's.
PAGE_BYTES = 3 << 20


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
            commits = await _load(connection, repo_id, [revision.commit])
        if not commits:
            raise not_found("revision", request.revision)
        return pb.GetCommitResponse(commit=commits[0])

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
        """A commit and its ancestors, children first; as many as a message can hold."""
        page = Page(self._key, request, call)
        repo_id = call.repository.id
        async with self._database.connection() as connection:
            frontier = page.after
            if frontier is None:
                revision = await revisions.find(connection, repo_id, request.revision)
                frontier = [revision.commit]
            commits: list[pb.Commit] = []
            room, full = PAGE_BYTES, False
            while frontier and len(commits) < page.size and not full:
                most = min(STEP, page.size - len(commits))
                known = await _walk(connection, repo_id, frontier, most)
                names, frontier = next_commits(known, frontier, most, room)
                commits += await _load(connection, repo_id, names)
                room -= sum(known[name]["bytes"] for name in names)
                full = len(names) < most
        token = page.token(*frontier) if frontier else ""
        return pb.ListCommitsResponse(commits=commits, next_page_token=token)


async def _load(connection: Connection, repo_id: UUID, names: list[str]) -> list[pb.Commit]:
    """Returns some commits in this order, without those that do not exist."""
    rows = {row["hash"]: row for row in await connection.fetch(Q.commits, repo_id, names)}
    return [_message(rows[name]) for name in names if name in rows]


async def _walk(
    connection: Connection, repo_id: UUID, frontier: list[str], depth: int
) -> dict[str, Row]:
    """Returns generation, parents and size of all commits that a page from the frontier can need."""
    rows = await connection.fetch(Q.walk, repo_id, frontier, depth + 1)
    return {row["hash"]: row for row in rows}


def next_commits(
    known: Mapping[str, Row], frontier: list[str], most: int, room: int
) -> tuple[list[str], list[str]]:
    """Returns up to `most` commits of `room` bytes, highest generation first, and the next frontier.

    A commit's generation is higher than that of all its ancestors, so every child of a commit is
    taken before the commit itself, and each commit once.
    """
    heap = [(-known[name]["generation"], name) for name in set(frontier)]
    heapq.heapify(heap)
    waiting = set(frontier)
    taken: list[str] = []
    while heap and len(taken) < most:
        _, name = heap[0]
        room -= known[name]["bytes"]
        if room < 0:
            break
        heapq.heappop(heap)
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
    # The first and the last time of all come back without a zone: the driver stores them as infinity.
    time = row[f"{role}_timestamp"].replace(tzinfo=UTC)
    return Signer(
        name=row[f"{role}_name"],
        email=row[f"{role}_email"],
        time_us=(time - EPOCH) // timedelta(microseconds=1),
        offset_minutes=row[f"{role}_offset_minutes"],
    )
