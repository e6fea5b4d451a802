"""CommitService: pushing commits and reading the history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from functools import partial
from typing import NamedTuple

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Signer

from services.repo.history.ancestry import EPOCH
from services.repo.history.changes_since import find_changes_since
from services.repo.history.commit_comparison import compare_commits
from services.repo.history.commit_log import find_known_commits, list_commits, read_commits
from services.repo.history.commit_search import CommitFilter, search_commits
from services.repo.history.revisions import resolve_revision
from services.repo.push.preparation import prepare_push
from services.repo.push.recipes import RecipeReader
from services.repo.push.region_copies import requested_copies
from services.repo.push.stream import PushRequests, receive_push
from services.repo.push.transaction import apply_push
from services.repo.rpc.heavy_calls import HeavyCalls
from services.repo.rpc.signature_message import signature_message
from shared.db.pool import Databases, Row
from shared.errors import not_found
from shared.formats.bitmaps import mark_missing
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey
from shared.runtime.weighed_work import do_weighed

# Revisions that a list may leave out.
MAX_EXCLUDED = 20
MAX_AUTHOR = 255


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
        writes = IdempotentWrites(self._databases.of(call.repository.id), self._key)
        with self._budget.hold(call.holder) as hold:
            push = await receive_push(requests, hold)
            fingerprint = await do_weighed(push.steps, push.fingerprint, call.repository.id)
            repeatable = Repeatable(push.request_id, fingerprint)

            async def make() -> pb.PushResponse:
                # Recipes may be gone when a call is repeated.
                database = self._databases.of(call.repository.id)
                prepared = await prepare_push(database, self._recipes, push, call, hold)
                work = partial(apply_push, call=call, prepared=prepared)
                async with requested_copies(database):
                    return await writes.once(call, repeatable, pb.PushResponse, work)

            return await writes.find_or_make(call, repeatable, pb.PushResponse, make)

    async def GetCommit(self, request: pb.GetCommitRequest, call: Call) -> pb.GetCommitResponse:
        """Returns one commit by any of its names."""
        repository_id = call.repository.id
        database = self._databases.of(repository_id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        rows = await read_commits(database, repository_id, [revision.commit], signatures=True)
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
        """Lists a commit and its ancestors, or those of them that pass a filter; children first."""
        page = Page(self._key, request, call)
        repository_id = call.repository.id
        database = self._databases.of(repository_id)
        wanted = _filter(request)
        if page.after is None:
            frontier = await self._begin(request, call)
        else:
            frontier = _Frontier.parse(page.after)
        if wanted.is_empty() and not frontier.excluded:
            hashes, waiting = await list_commits(
                database, repository_id, frontier.waiting, page.size
            )
            after = _Frontier(waiting)
        else:
            async with self._heavy_calls.turn(call):
                hashes, *following = await search_commits(
                    database, repository_id, frontier, wanted, page.size
                )
            after = _Frontier(*following)
        rows = await read_commits(database, repository_id, hashes)
        token = page.token(*after.describe()) if after.waiting else ""
        return pb.ListCommitsResponse(commits=map(_message, rows), next_page_token=token)

    async def CompareCommits(
        self, request: pb.CompareCommitsRequest, call: Call
    ) -> pb.CompareCommitsResponse:
        """Tells where two histories parted, and what each has that the other does not have."""
        repository_id = call.repository.id
        database = self._databases.of(repository_id)
        async with database.connection() as connection:
            base = await resolve_revision(connection, repository_id, request.base, "base")
            head = await resolve_revision(connection, repository_id, request.head, "head")
        async with self._heavy_calls.turn(call):
            found = await compare_commits(database, repository_id, base.commit, head.commit)
        return pb.CompareCommitsResponse(
            base_commit=base.commit,
            head_commit=head.commit,
            merge_bases=found.merge_bases,
            ahead_count=found.ahead,
            behind_count=found.behind,
            is_ancestor=found.is_ancestor,
        )

    async def FindMissingCommits(
        self, request: pb.FindMissingCommitsRequest, call: Call
    ) -> pb.FindMissingCommitsResponse:
        """Tells which of some commits the repository lacks."""
        hashes = validation.packed_digests("hashes", request.hashes)
        database = self._databases.of(call.repository.id)
        known = await find_known_commits(database, call.repository.id, hashes)
        missing, count = mark_missing(hashes, known)
        return pb.FindMissingCommitsResponse(missing=missing, missing_count=count)

    async def _begin(self, request: pb.ListCommitsRequest, call: Call) -> _Frontier:
        """Returns where the first page of a list begins."""
        validation.count("not_in", request.not_in, MAX_EXCLUDED, least=0)
        repository_id = call.repository.id
        async with self._databases.of(repository_id).connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
            excluded = {
                (await resolve_revision(connection, repository_id, name, "not_in")).commit
                for name in request.not_in
            }
        return _Frontier([revision.commit], sorted(excluded))


class _Frontier(NamedTuple):
    """The commits that a page begins at, and those whose histories are left out."""

    waiting: Sequence[str]
    excluded: Sequence[str] = ()

    @classmethod
    def parse(cls, position: Iterable[str]) -> _Frontier:
        """Returns the frontier of a page token."""
        names = list(position)
        waiting = [name for name in names if not name.startswith("^")]
        return cls(waiting, [name[1:] for name in names if name.startswith("^")])

    def describe(self) -> list[str]:
        """Returns what a page token holds."""
        return [*self.waiting, *(f"^{name}" for name in self.excluded)]


def _filter(request: pb.ListCommitsRequest) -> CommitFilter:
    return CommitFilter(
        path=validation.path("path", request.path, directory=True) if request.path else "",
        author=validation.text("author", request.author, most=MAX_AUTHOR),
        since=validation.time("since", request.since) if request.HasField("since") else None,
        until=validation.time("until", request.until) if request.HasField("until") else None,
    )


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
        signature=signature_message(row),
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
