"""Push: manifests, commits and refs in one transaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Manifest

from services.repo.history import ancestry, branches, manifests
from services.repo.history.ancestry import Node
from services.repo.history.diff import Changes, Trees
from services.repo.push import assets, guard
from services.repo.push.chunk_lists import ChunkLists, read_lists
from services.repo.push.guard import Rules
from services.repo.push.recipes import RecipeReader
from services.repo.push.stream import Push, PushRequests, Update, receive
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import (
    DomainError,
    head_moved,
    history_missing,
    not_found,
    repository_read_only,
    stream_order,
)
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What lies below a directory, at any depth."""

    entries: int
    size: int
    chunks: int


class Pusher:
    """Takes pushes."""

    def __init__(self, database: Database, writes: IdempotentWrites, recipes: RecipeReader) -> None:
        self._database = database
        self._writes = writes
        self._recipes = recipes

    async def push(self, requests: PushRequests, call: Call) -> pb.PushResponse:
        """Reads the stream, fetches the recipes of large files, and applies it all or not at all."""
        push = await receive(requests)
        lists = await read_lists(self._database, self._recipes, push.manifests.values(), call)
        # The slow part that needs no database: outside the transaction, off the loop.
        stored = await asyncio.to_thread(
            lambda: {name: manifests.compress(data) for name, data in push.contents.items()}
        )

        async def work(connection: Connection) -> pb.PushResponse:
            return await _Transaction(connection, call, push, stored, lists).apply()

        body = str(call.repository.id).encode() + push.fingerprint()
        repeatable = Repeatable(push.request_id, body)
        return await self._writes.once(call, repeatable, pb.PushResponse, work)


async def apply(connection: Connection, call: Call, push: Push) -> None:
    """Applies a push that brings nothing new: refs move between commits that are there."""
    await _Transaction(connection, call, push, {}, ChunkLists()).apply()


@dataclass(slots=True)
class _Transaction:
    """One attempt at applying a push."""

    connection: Connection
    call: Call
    push: Push
    stored: Mapping[str, bytes]
    lists: ChunkLists
    graph: dict[str, Node] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)

    @property
    def repo_id(self) -> UUID:
        return self.call.repository.id

    async def apply(self) -> pb.PushResponse:
        """The whole push, in the order in which rows are locked everywhere."""
        connection, push, user_id = self.connection, self.push, self.call.caller.user_id
        rules = await self._lock_repository()
        fresh = await self._lock_manifests()
        await self._build_graph()
        trees = Trees(connection, self.repo_id, push.manifests)
        changes = await self._changes(trees)
        new_manifests = await self._insert_manifests(fresh, changes)
        fresh_manifests = [push.manifests[name] for name in new_manifests]
        found = await asyncio.to_thread(assets.collect, fresh_manifests, self.lists)
        new_assets = await assets.record(connection, self.repo_id, found, self.lists)
        new_commits = 0
        if push.commits:
            new_commits = await ancestry.insert(
                connection, self.repo_id, list(push.commits.items()), self.graph
            )
        await guard.enforce(connection, self.repo_id, user_id, rules, changes, trees)
        await guard.require_fences(connection, self.repo_id, user_id, push.locks)
        released = await guard.release(connection, self.repo_id, user_id, changes.paths)
        await branches.move(connection, self.call.repository, user_id, push.updates, self.graph)
        size = sum(found[name].file.size for name in new_assets)
        await self._announce(new_commits, len(new_assets), size)
        return pb.PushResponse(
            refs=[pb.RefState(branch=u.branch, head=u.new) for u in push.updates],
            new_commit_count=new_commits,
            new_manifest_count=len(new_manifests),
            new_asset_count=len(new_assets),
            released_lock_ids=released,
        )

    async def _lock_repository(self) -> Rules:
        row = await self.connection.fetchrow(Q.lock_repository, self.repo_id)
        if row is None:
            raise not_found("repository", str(self.repo_id))
        if row["read_only"]:
            raise repository_read_only()
        return Rules(
            row["require_lock_for_edit"],
            row["max_file_size_bytes"] or 0,
            frozenset(row["allowed_extensions"] or ()),
            row["shared_tree"],
        )

    async def _lock_manifests(self) -> list[str]:
        """Locks every manifest that the push names; returns those of its own that are not there."""
        named = self.push.named_manifests()
        if not named:
            return []
        rows = await self.connection.fetch(Q.lock_manifests, self.repo_id, sorted(named))
        for row in rows:
            self.counts[row["hash"]] = Counts(
                row["entry_count"], row["total_size"], row["chunk_count"]
            )
        absent = named - self.counts.keys() - self.push.manifests.keys()
        if absent:
            raise _missing("manifest", absent)
        return [name for name in self.push.manifests if name not in self.counts]

    async def _build_graph(self) -> None:
        """Places the commits of the push in the graph; their parents and the heads must exist."""
        commits = self.push.commits
        named = {p.hex() for commit in commits.values() for p in commit.parent_hashes}
        named.update(u.new for u in self.push.updates)
        old = {u.expected for u in self.push.updates if u.expected}
        stored = await ancestry.known(self.connection, self.repo_id, named | old | commits.keys())
        absent = named - stored.keys() - commits.keys()
        if absent:
            raise _missing("commit", absent)
        for name, commit in commits.items():
            parents = tuple(p.hex() for p in commit.parent_hashes)
            generation = 0
            for parent in parents:
                node = self.graph.get(parent) or stored.get(parent)
                if node is None:
                    raise stream_order(f"the commit {name} comes before its parent {parent}")
                generation = max(generation, node.generation + 1)
            self.graph[name] = Node(commit.tree_hash.hex(), parents, generation)
        self.graph = {**stored, **self.graph}

    async def _changes(self, trees: Trees) -> Changes:
        """What the push changes, by path, on all the branches it moves."""
        changes = Changes()
        current = await branches.heads(
            self.connection, self.repo_id, [u.branch for u in self.push.updates]
        )
        for update in self.push.updates:
            at = current.get(update.branch, "")
            if at == update.new:
                continue
            if at != update.expected:
                raise head_moved(update.branch, update.expected, at)
            if at:
                changes.add(await trees.compare(self.graph[at].tree, self.graph[update.new].tree))
            else:
                await self._add_commits(changes, trees, update)
        return changes

    async def _add_commits(self, changes: Changes, trees: Trees, update: Update) -> None:
        """What the new commits below a new branch changed, each against all of its parents."""
        left, seen = [update.new], {update.new}
        while left:
            name = left.pop()
            if name not in self.push.commits:
                continue
            node = self.graph[name]
            compared = [
                await trees.compare(self.graph[parent].tree, node.tree) for parent in node.parents
            ] or [await trees.compare(None, node.tree)]
            changes.add(_common(compared))
            fresh = [parent for parent in node.parents if parent not in seen]
            seen.update(fresh)
            left += fresh

    async def _insert_manifests(self, fresh: list[str], changes: Changes) -> list[str]:
        """Adds the directories that are new; returns their names."""
        if not fresh:
            return []
        bringers = self._bringers()
        for name in fresh:  # children first, as they came
            self.counts[name] = self._count(self.push.manifests[name])
        names = sorted(fresh)
        counts = [self.counts[name] for name in names]
        inserted = await self.connection.fetch(
            *Q.bind.insert_manifests(
                repository_id=self.repo_id,
                hashes=names,
                commit_hashes=[bringers[name] for name in names],
                parent_hashes=[changes.predecessors.get(name) for name in names],
                entry_counts=[count.entries for count in counts],
                total_sizes=[count.size for count in counts],
                chunk_counts=[count.chunks for count in counts],
                contents=[self.stored[name] for name in names],
            )
        )
        return [row["hash"] for row in inserted]

    def _count(self, manifest: Manifest) -> Counts:
        """The recursive counts of a directory whose sub-directories are counted."""
        size = chunks = 0
        entries = len(manifest.entries)
        for entry in manifest.entries:
            if entry.HasField("file"):
                size += entry.file.size
                chunks += self.lists.count(entry.file)
            elif entry.HasField("directory"):
                name = entry.directory.manifest_hash.hex()
                below = self.counts.get(name)
                if below is None:
                    raise stream_order(f"the manifest {name} comes after one that names it")
                entries += below.entries
                size += below.size
                chunks += below.chunks
        return Counts(entries, size, chunks)

    def _bringers(self) -> dict[str, str]:
        """For each manifest of the push the first of its commits that reaches it."""
        bringers: dict[str, str] = {}
        for name, commit in self.push.commits.items():
            left = [commit.tree_hash.hex()]
            while left:
                manifest = left.pop()
                if manifest in bringers or manifest not in self.push.manifests:
                    continue
                bringers[manifest] = name
                left += manifests.children(self.push.manifests[manifest])
        return bringers

    async def _announce(self, new_commits: int, new_assets: int, size: int) -> None:
        """Counters and event; the repository's own row last, for it is what pushes share."""
        caller = self.call.caller
        refs = [
            {"branch": u.branch, "before": u.expected, "after": u.new} for u in self.push.updates
        ]
        payload = json.dumps({"refs": refs, "new_commits": new_commits, "user": caller.username})
        await self.connection.execute(Q.emit_push, self.repo_id, caller.user_id, payload)
        await self.connection.execute(Q.count_push, self.repo_id, new_commits, new_assets, size)
        await self.connection.execute(Q.note_push, self.repo_id)


def _common(compared: list[Changes]) -> Changes:
    """What differs from every parent: a merge does not change what it takes over unchanged."""
    first, *others = compared
    for other in others:
        first.written = {p: e for p, e in first.written.items() if p in other.paths}
        first.existing = {p for p in first.existing if p in other.paths}
    return first


def _missing(kind: str, names: set[str]) -> DomainError:
    return history_missing(kind, sorted(names))
