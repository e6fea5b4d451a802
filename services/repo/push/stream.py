"""The stream of a push: read, checked and hashed before the database is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, Manifest

from services.repo.history.branches import BranchUpdate
from services.repo.history.manifests import child_hashes
from services.repo.push.counts import Counts, count_below, count_least_chunks, require_bounded
from shared.errors import (
    DomainError,
    batch_too_large,
    content_mismatch,
    invalid_field,
    stream_order,
)
from shared.formats import manifests
from shared.formats.canonical import FormatError, content_hash
from shared.formats.commits import commit_hash
from shared.formats.limits import MAX_PUSH_BYTES, MAX_PUSH_COMMITS, MAX_PUSH_MANIFESTS
from shared.rpc import validation
from shared.rpc.byte_budget import Hold

PushRequests = AsyncIterator[pb.PushRequest]

# What a byte, and a manifest or commit, takes in memory: as it came, compressed and decoded.
BYTE_COST = 4
ITEM_COST = 1_500
# What an entry takes besides: decoded, and as a change.
ENTRY_COST = 250
MAX_LOCKS = 100_000
MAX_UPDATES = 100


@dataclass(slots=True)
class Push:
    """Everything that a push brought; manifests and commits by the hash that the server computed.

    Attributes:
        children: hashes of the sub-directories of each manifest.
        counts: of what the push brings below each manifest; what it only names counts as empty.
        largest: bytes of the largest manifest.
        size: bytes of manifests and commits.
        cost: bytes of memory that they take, about.
    """

    request_id: str = ""
    locks: list[tuple[UUID, int]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    commits: dict[str, CommitContent] = field(default_factory=dict)
    updates: list[BranchUpdate] = field(default_factory=list)
    largest: int = 0
    size: int = 0
    cost: int = 0

    def fingerprint(self, repository_id: UUID) -> bytes:
        """Returns what makes two pushes the same: commits name trees, trees name everything."""
        moves = (f"{u.branch}\0{u.expected}\0{u.new}\0{u.force}" for u in self.updates)
        locks = (f"{lock}\0{fence}" for lock, fence in self.locks)
        lines = "\n".join((*moves, "", *self.commits, "", *locks))
        return f"{repository_id}{lines}".encode()

    def named_manifests(self) -> set[str]:
        """Returns the hash of every manifest that the push brings or names."""
        trees = {commit.tree_hash.hex() for commit in self.commits.values()}
        return trees.union(self.manifests, *self.children.values())

    def add_bytes(self, part: str, size: int) -> None:
        """Counts bytes of a part. Raises BATCH_TOO_LARGE."""
        self.size += size
        if self.size > MAX_PUSH_BYTES:
            raise batch_too_large(part, MAX_PUSH_BYTES, self.size)


async def receive_push(requests: PushRequests, hold: Hold) -> Push:
    """Reads a push to its end; `hold` grows by what it takes in memory.

    Raises what is wrong with it, whatever the database holds: STREAM_ORDER, INVALID_FIELD,
    CONTENT_MISMATCH and BATCH_TOO_LARGE; and SERVER_BUSY.
    """
    push = Push()
    stage = 0
    async for request in requests:
        part = request.WhichOneof("part")
        order = {"header": 0, "manifests": 1, "commits": 2, "refs": 3}.get(part or "", -1)
        if order < stage or (part == "header") != (stage == 0) or push.updates:
            raise _out_of_order(part)
        if part == "header":
            await asyncio.to_thread(_header, push, request.header)
            stage = 1
            continue
        stage = order
        items = len(request.manifests.manifests) + len(request.commits.commits)
        push.cost += BYTE_COST * request.ByteSize() + ITEM_COST * items
        await hold.grow_to(push.cost)
        if part == "manifests":
            await asyncio.to_thread(_manifests, push, request.manifests.manifests)
            await hold.grow_to(push.cost)
        elif part == "commits":
            await asyncio.to_thread(_commits, push, request.commits.commits)
        else:
            push.updates = _updates(request.refs.updates)
    if not push.updates:
        raise _out_of_order(None)
    await asyncio.to_thread(_refuse_unreachable, push)
    return push


def _out_of_order(part: str | None) -> DomainError:
    return stream_order(
        f"{part or 'the end'}: a push is a header, manifests, commits, and refs in one last message"
    )


def _header(push: Push, header: pb.PushHeader) -> None:
    if header.request_id:
        validation.uuid("header.request_id", header.request_id)
    push.request_id = header.request_id
    validation.count("header.locks", header.locks, MAX_LOCKS, least=0)
    push.locks = [
        (validation.uuid("header.locks.lock_id", lock.lock_id), lock.fence) for lock in header.locks
    ]


def _manifests(push: Push, contents: Iterable[bytes]) -> None:
    """Decodes and hashes some manifests. Runs in a thread: a large directory takes a while."""
    for content in contents:
        push.add_bytes("manifests", len(content))
        name = content_hash(content)
        if name in push.manifests:
            continue
        try:
            manifest = manifests.decode_manifest(content)
        except FormatError as error:
            raise _mismatch("manifests", error, name) from None
        push.counts[name] = count_below(manifest, push.counts, count_least_chunks)
        require_bounded(name, push.counts[name])
        push.manifests[name] = manifest
        push.cost += ENTRY_COST * len(manifest.entries)
        push.children[name] = child_hashes(manifest)
        push.contents[name] = content
        push.largest = max(push.largest, len(content))
        if len(push.manifests) > MAX_PUSH_MANIFESTS:
            raise batch_too_large("manifests", MAX_PUSH_MANIFESTS, len(push.manifests))


def _commits(push: Push, commits: Iterable[CommitContent]) -> None:
    """Checks and hashes some commits. Runs in a thread."""
    for commit in commits:
        push.add_bytes("commits", commit.ByteSize())
        try:
            name = commit_hash(commit)
        except FormatError as error:
            raise _mismatch("commits", error, "") from None
        push.commits[name] = commit
        if len(push.commits) > MAX_PUSH_COMMITS:
            raise batch_too_large("commits", MAX_PUSH_COMMITS, len(push.commits))


def _mismatch(part: str, error: FormatError, name: str) -> DomainError:
    """Returns INVALID_FIELD for a broken rule, CONTENT_MISMATCH for a form that is not canonical."""
    if error.field in ("manifest", "commit"):
        return content_mismatch(f"{part}: {error}", actual=name)
    where = f"{name}: " if name else ""
    return invalid_field(f"{part}.{error.field}", where + error.description)


def _updates(updates: Sequence[pb.RefUpdate]) -> list[BranchUpdate]:
    validation.count("refs.updates", updates, MAX_UPDATES)
    moves = [_update(update) for update in updates]
    if len({move.branch for move in moves}) < len(moves):
        raise invalid_field("refs.updates", "must name each ref once")
    return sorted(moves, key=lambda move: move.branch.encode())


def _update(update: pb.RefUpdate) -> BranchUpdate:
    if update.WhichOneof("ref") != "branch":
        raise invalid_field("refs.updates.ref", "must be set")
    expected = update.expected_head
    if expected:
        validation.digest("refs.updates.expected_head", expected)
    return BranchUpdate(
        validation.branch("refs.updates.branch", update.branch),
        expected,
        validation.digest("refs.updates.new_head", update.new_head),
        update.force,
    )


def _refuse_unreachable(push: Push) -> None:
    """Raises INVALID_FIELD unless every manifest is in a tree of the push: nothing would free it."""
    reached = {commit.tree_hash.hex() for commit in push.commits.values()}
    left = list(reached)
    while left:
        below = set(push.children.get(left.pop(), ())) - reached
        reached |= below
        left += below
    stray = push.manifests.keys() - reached
    if stray:
        raise invalid_field("manifests", f"{min(stray)} is in the tree of no commit of this push")
