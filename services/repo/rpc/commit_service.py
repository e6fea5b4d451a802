"""CommitService: pushing commits and reading the history."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Signer

from services.repo.history.ancestry import EPOCH
from services.repo.history.changes_since import find_changes_since
from services.repo.history.commit_log import list_commits, read_commits
from services.repo.history.path_log import list_path_commits
from services.repo.history.revisions import resolve_revision
from services.repo.push.preparation import prepare_push
from services.repo.push.recipes import RecipeReader
from services.repo.push.stream import PushRequests, receive_push
from services.repo.push.transaction import apply_push
from services.repo.rpc.heavy_calls import HeavyCalls
from shared.db.pool import Databases, Row
from shared.errors import not_found
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class CommitService:
    """The RPCs of dits.repo.v1.CommitService."""

    def __init__(
        self, databases: Databases, key: ServerKey, recipes: RecipeReader, budget: ByteBudget
    ) -> None:
        self._databases = databases
        self._budget = budget
        self._key = key
        self._recipes = recipes
        self._heavy_calls = HeavyCalls()

    async def Push(self, requests: PushRequests, call: Call) -> pb.PushResponse:
        """Adds history and moves branches, all or nothing."""
        database = self._databases.of(call.repository.id)
        writes = IdempotentWrites(database, self._key)
        with self._budget.hold(call.holder) as hold:
            push = await receive_push(requests, hold)
            prepared = await prepare_push(database, self._recipes, push, call, hold)
            fingerprint = await asyncio.to_thread(push.fingerprint, call.repository.id)
            repeatable = Repeatable(push.request_id, fingerprint)
            return await writes.once(
                call,
                repeatable,
                pb.PushResponse,
                lambda connection: apply_push(connection, call, prepared),
            )

    async def GetCommit(self, request: pb.GetCommitRequest, call: Call) -> pb.GetCommitResponse:
        """Returns one commit by any of its names."""
        repository_id = call.repository.id
        database = self._databases.of(repository_id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        rows = await read_commits(database, repository_id, [revision.commit])
        if not rows:
            raise not_found("revision", request.revision)
        return pb.GetCommitResponse(commit=_message(rows[0]))

    async def FindChangesSince(
        self, request: pb.FindChangesSinceRequest, call: Call
    ) -> pb.FindChangesSinceResponse:
        """Finds the paths that are newer than in the caller's commit."""
        repository_id = call.repository.id
        base_commit = validation.digest("base_commit", request.base_commit)
        paths = await validation.parse_in_time(_paths, request)
        database = self._databases.of(repository_id)
        async with database.connection() as connection:
            head = await resolve_revision(connection, repository_id, request.revision)
            base = await resolve_revision(connection, repository_id, base_commit)
        async with self._heavy_calls.turn(call):
            found = await find_changes_since(database, repository_id, head, base, paths)
        changes = [
            pb.PathChange(path=path, commit_hash=found[path]) for path in paths if path in found
        ]
        return pb.FindChangesSinceResponse(head=head.commit, changes=changes)

    async def ListCommits(
        self, request: pb.ListCommitsRequest, call: Call
    ) -> pb.ListCommitsResponse:
        """Lists a commit and its ancestors, or those of them that changed a path; children first."""
        page = Page(self._key, request, call)
        repository_id, frontier = call.repository.id, page.after
        database = self._databases.of(repository_id)
        if frontier is None:
            async with database.connection() as connection:
                revision = await resolve_revision(connection, repository_id, request.revision)
            frontier = [revision.commit]
        if request.path:
            path = validation.path("path", request.path, directory=True)
            async with self._heavy_calls.turn(call):
                hashes, frontier = await list_path_commits(
                    database, repository_id, frontier, path, page.size
                )
        else:
            hashes, frontier = await list_commits(database, repository_id, frontier, page.size)
        rows = await read_commits(database, repository_id, hashes)
        token = page.token(*frontier) if frontier else ""
        return pb.ListCommitsResponse(commits=map(_message, rows), next_page_token=token)


def _paths(request: pb.FindChangesSinceRequest) -> list[str]:
    validation.count("paths", request.paths, validation.MAX_PATHS)
    return [
        validation.path(f"paths[{index}]", path, directory=True)
        for index, path in enumerate(request.paths)
    ]


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
