"""TreeService.DiffTrees: what differs between two trees, as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from dits.repo.v1 import tree_service_pb2 as pb

from services.repo.history.batches import split_by_size
from services.repo.history.directories import Totals, read_totals
from services.repo.history.revisions import Revision, resolve_revision
from services.repo.push.recipes import RecipeReader
from services.repo.rpc.heavy_calls import HeavyCalls
from services.repo.rpc.tree_messages import describe_entry
from services.repo.trees.changes import (
    ChangeKind,
    DirectoryPair,
    TreeChange,
    compare_entries,
)
from services.repo.trees.diff import DiffTotals, TreeDiff
from services.repo.trees.new_bytes import NewBytes
from services.repo.trees.path_finder import PathFinder
from shared.db.pool import Databases
from shared.errors import invalid_field
from shared.rpc import validation
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call

# Changes of one message, and about as many bytes.
MESSAGE_CHANGES = 500
MESSAGE_BYTES = 1 << 20

_KINDS = {kind: pb.ChangeKind.Value(f"CHANGE_KIND_{kind.name}") for kind in ChangeKind}
_NOTHING = Revision("", "")


class TreeDiffs:
    """Compares trees for callers."""

    def __init__(
        self,
        databases: Databases,
        heavy_calls: HeavyCalls,
        finder: PathFinder,
        recipes: RecipeReader,
        budget: ByteBudget,
    ) -> None:
        self._databases = databases
        self._heavy_calls = heavy_calls
        self._finder = finder
        self._recipes = recipes
        self._budget = budget

    async def stream_changes(
        self, request: pb.DiffTreesRequest, call: Call
    ) -> AsyncGenerator[pb.DiffTreesResponse, None]:
        """Yields the messages of an answer; while one waits to be taken, no turn is held."""
        path = validation.path("path", request.path) if request.path else ""
        if request.base_is_empty and request.base:
            raise invalid_field("base", "must be empty with base_is_empty")
        repository_id = call.repository.id
        database = self._databases.of(repository_id)
        async with database.connection() as connection:
            head = await resolve_revision(connection, repository_id, request.head, "head")
            base = _NOTHING
            if not request.base_is_empty:
                base = await resolve_revision(connection, repository_id, request.base, "base")
        yield pb.DiffTreesResponse(base_commit=base.commit, head_commit=head.commit)
        changes, below = await self._begin(base, head, path, call)
        diff, totals = TreeDiff(database, repository_id), DiffTotals()
        async with aclosing(diff.iterate_changes(changes, below)) as steps:
            while True:
                async with self._heavy_calls.turn(call):
                    found = await anext(steps, None)
                if found is None:
                    break
                async with aclosing(self._describe_all(found, request, call, totals)) as messages:
                    async for message in messages:
                        yield message
        totals.is_plain = diff.is_plain
        yield pb.DiffTreesResponse(summary=_summarize(totals))

    async def _begin(
        self, base: Revision, head: Revision, path: str, call: Call
    ) -> tuple[list[TreeChange], list[DirectoryPair]]:
        """Returns where a comparison begins: the top directories, or what is at a path."""
        changes: list[TreeChange] = []
        below: list[DirectoryPair] = []
        if path:
            was, now = [
                (await self._finder.find(call.repository.id, revision.tree, [path])).get(path)
                if revision.tree
                else None
                for revision in (base, head)
            ]
            if was != now:
                compare_entries(path, was, now, changes, below)
        elif base.tree != head.tree:
            below.append(DirectoryPair("", base.tree or None, head.tree))
        return changes, below

    async def _describe_all(
        self,
        changes: Sequence[TreeChange],
        request: pb.DiffTreesRequest,
        call: Call,
        totals: DiffTotals,
    ) -> AsyncGenerator[pb.DiffTreesResponse, None]:
        sized = ((change, change.measure()) for change in changes)
        for batch in split_by_size(sized, MESSAGE_CHANGES, MESSAGE_BYTES):
            below = await self._read_totals(batch, call)
            if request.count_new_bytes:
                # The chunk lists of what was obliterated are gone.
                whole = [change for change in batch if not _is_obliterated(change, below)]
                async with self._heavy_calls.turn(call):
                    await NewBytes(self._recipes, self._budget, call).count(whole)
            totals.add(batch)
            yield pb.DiffTreesResponse(changes=[_describe(change, below) for change in batch])

    async def _read_totals(self, changes: Sequence[TreeChange], call: Call) -> Totals:
        """Returns the numbers of chunks of large files, and what is obliterated."""
        entries = [e for change in changes for e in (change.old, change.new) if e is not None]
        async with self._databases.of(call.repository.id).connection() as connection:
            return await read_totals(connection, call.repository.id, entries)


def _is_obliterated(change: TreeChange, totals: Totals) -> bool:
    files = [entry.file for entry in (change.old, change.new) if entry is not None]
    return any(file.hash.hex() in totals.obliterated for file in files)


def _describe(change: TreeChange, totals: Totals) -> pb.TreeChange:
    is_moved = change.kind in (ChangeKind.RENAMED, ChangeKind.COPIED)
    return pb.TreeChange(
        kind=_KINDS[change.kind],
        path=change.path,
        old_path=change.old_path if is_moved else "",
        old=describe_entry(change.old, totals) if change.old is not None else None,
        new=describe_entry(change.new, totals) if change.new is not None else None,
        new_chunk_bytes=change.new_chunk_bytes,
    )


def _summarize(totals: DiffTotals) -> pb.DiffSummary:
    counts = totals.counts
    return pb.DiffSummary(
        added_count=counts[ChangeKind.ADDED],
        modified_count=counts[ChangeKind.MODIFIED],
        deleted_count=counts[ChangeKind.DELETED],
        renamed_count=counts[ChangeKind.RENAMED],
        copied_count=counts[ChangeKind.COPIED],
        mode_count=counts[ChangeKind.MODE],
        old_bytes=totals.old_bytes,
        new_bytes=totals.new_bytes,
        new_chunk_bytes=totals.new_chunk_bytes,
        is_plain=totals.is_plain,
    )
