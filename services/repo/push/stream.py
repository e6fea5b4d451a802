"""The stream of a push: read, checked and hashed before the database is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, Manifest

from services.repo.history.branches import BranchUpdate
from services.repo.history.manifests import child_hashes
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
from shared.rpc import validation

PushRequests = AsyncIterator[pb.PushRequest]

MAX_MANIFESTS = 1_000_000
MAX_MANIFEST_BYTES = 1 << 30
MAX_COMMITS = 100_000
MAX_COMMIT_BYTES = 256 << 20
MAX_LOCKS = 100_000
MAX_UPDATES = 100


@dataclass(slots=True)
class Push:
    """Everything that a push brought; manifests and commits by the hash that the server computed."""

    request_id: str = ""
    locks: list[tuple[UUID, int]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    commits: dict[str, CommitContent] = field(default_factory=dict)
    updates: list[BranchUpdate] = field(default_factory=list)
    manifest_bytes: int = 0
    commit_bytes: int = 0

    def fingerprint(self, repository_id: UUID) -> bytes:
        """Returns what makes two pushes the same: commits name trees, trees name everything."""
        moves = (f"{u.branch}\0{u.expected}\0{u.new}\0{u.force}" for u in self.updates)
        locks = (f"{lock}\0{fence}" for lock, fence in self.locks)
        lines = "\n".join((*moves, "", *self.commits, "", *locks))
        return f"{repository_id}{lines}".encode()

    def named_manifests(self) -> set[str]:
        """Returns the hash of every manifest that the push brings or names."""
        trees = {commit.tree_hash.hex() for commit in self.commits.values()}
        below = (child_hashes(manifest) for manifest in self.manifests.values())
        return trees.union(self.manifests, *below)


async def receive_push(requests: PushRequests) -> Push:
    """Reads a push to its end. Raises what is wrong with it, whatever the database holds.

    These are STREAM_ORDER, INVALID_FIELD, CONTENT_MISMATCH and BATCH_TOO_LARGE.
    """
    push = Push()
    stage = 0
    async for request in requests:
        part = request.WhichOneof("part")
        order = {"header": 0, "manifests": 1, "commits": 2, "refs": 3}.get(part or "", -1)
        if order < stage or (part == "header") != (stage == 0) or push.updates:
            raise _out_of_order(part)
        if part == "header":
            _header(push, request.header)
            stage = 1
            continue
        stage = order
        if part == "manifests":
            await asyncio.to_thread(_manifests, push, request.manifests.manifests)
        elif part == "commits":
            _commits(push, request.commits.commits)
        else:
            push.updates = _updates(request.refs.updates)
    if not push.updates:
        raise _out_of_order(None)
    _refuse_unreachable(push)
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
        push.manifest_bytes += len(content)
        if push.manifest_bytes > MAX_MANIFEST_BYTES:
            raise batch_too_large("manifests", MAX_MANIFEST_BYTES, push.manifest_bytes)
        name = content_hash(content)
        if name in push.manifests:
            continue
        try:
            push.manifests[name] = manifests.decode_manifest(content)
        except FormatError as error:
            raise _mismatch("manifests", error, name) from None
        push.contents[name] = content
    if len(push.manifests) > MAX_MANIFESTS:
        raise batch_too_large("manifests", MAX_MANIFESTS, len(push.manifests))


def _commits(push: Push, commits: Iterable[CommitContent]) -> None:
    for commit in commits:
        push.commit_bytes += commit.ByteSize()
        if push.commit_bytes > MAX_COMMIT_BYTES:
            raise batch_too_large("commits", MAX_COMMIT_BYTES, push.commit_bytes)
        try:
            push.commits[commit_hash(commit)] = commit
        except FormatError as error:
            raise _mismatch("commits", error, "") from None
    if len(push.commits) > MAX_COMMITS:
        raise batch_too_large("commits", MAX_COMMITS, len(push.commits))


def _mismatch(part: str, error: FormatError, name: str) -> DomainError:
    """Returns INVALID_FIELD for a broken rule, CONTENT_MISMATCH for a form that is not canonical."""
    if error.field in ("manifest", "commit"):
        return content_mismatch(f"{part}: {error}", actual=name)
    return invalid_field(f"{part}.{error.field}", error.description)


def _updates(updates: Iterable[pb.RefUpdate]) -> list[BranchUpdate]:
    moves = [_update(update) for update in updates]
    validation.count("refs.updates", moves, MAX_UPDATES)
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
        manifest = push.manifests.get(left.pop())
        if manifest is not None:
            below = set(child_hashes(manifest)) - reached
            reached |= below
            left += below
    stray = push.manifests.keys() - reached
    if stray:
        raise invalid_field("manifests", f"{min(stray)} is in the tree of no commit of this push")
