"""The stream of a push: read, checked and hashed before the database is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, Manifest

from services.repo.history.manifests import child_hashes
from services.repo.history.signatures import GivenSignature, parse_given_signature
from services.repo.push.counts import Counts, count_below, count_least_chunks, require_bounded
from services.repo.push.ref_updates import RefUpdates, parse_ref_updates
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
from shared.runtime.weighed_work import do_weighed

PushRequests = AsyncIterator[pb.PushRequest]

# What a byte, and a manifest or commit, takes in memory: as it came, compressed and decoded.
BYTE_COST = 4
ITEM_COST = 1_500
# What an entry takes besides: decoded, and as a change.
ENTRY_COST = 250
# The least that a step takes of a message: an entry may have eight bytes.
BYTES_PER_STEP = 16
MAX_LOCKS = 100_000
# One takes 0.1 to 2 ms to verify.
MAX_SIGNATURES = 10_000


@dataclass(slots=True)
class Push:
    """Everything that a push brought; manifests and commits by the hash that the server computed.

    Attributes:
        children: hashes of the sub-directories of each manifest.
        signatures: of commits of the push.
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
    signatures: dict[str, GivenSignature] = field(default_factory=dict)
    refs: RefUpdates = field(default_factory=RefUpdates)
    largest: int = 0
    size: int = 0
    cost: int = 0

    def fingerprint(self, repository_id: UUID) -> bytes:
        """Returns what makes two pushes the same: commits name trees, trees name everything."""
        locks = (f"{lock}\0{fence}" for lock, fence in self.locks)
        signatures = (f"{commit}\0{self.signatures[commit].armored}" for commit in self.signatures)
        parts = (*self.refs.describe(), "", *self.commits, "", *locks, "", *signatures)
        lines = "\n".join(parts)
        return f"{repository_id}{lines}".encode()

    @property
    def steps(self) -> int:
        """How many steps it takes to look at all of it once."""
        return self.cost // ENTRY_COST + len(self.locks)

    def named_manifests(self) -> set[str]:
        """Returns the hash of every manifest that the push brings or names."""
        trees = {commit.tree_hash.hex() for commit in self.commits.values()}
        return trees.union(self.manifests, *self.children.values())

    def add_bytes(self, part: str, size: int) -> None:
        """Counts bytes of a part. Raises BATCH_TOO_LARGE."""
        self.size += size
        if self.size > MAX_PUSH_BYTES:
            raise batch_too_large(part, MAX_PUSH_BYTES, self.size)

    def add_manifest(self, content: bytes) -> None:
        """Adds a manifest that comes after those of its sub-directories; takes a while if it is large.

        Raises INVALID_FIELD, CONTENT_MISMATCH, BATCH_TOO_LARGE.
        """
        self.add_bytes("manifests", len(content))
        name = content_hash(content)
        if name in self.manifests:
            return
        try:
            manifest = manifests.decode_manifest(content)
        except FormatError as error:
            raise _mismatch("manifests", error, name) from None
        self.counts[name] = count_below(manifest, self.counts, count_least_chunks)
        require_bounded(name, self.counts[name])
        self.manifests[name] = manifest
        self.cost += ENTRY_COST * len(manifest.entries)
        self.children[name] = child_hashes(manifest)
        self.contents[name] = content
        self.largest = max(self.largest, len(content))
        if len(self.manifests) > MAX_PUSH_MANIFESTS:
            raise batch_too_large("manifests", MAX_PUSH_MANIFESTS, len(self.manifests))


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
        if order < stage or (part == "header") != (stage == 0) or push.refs.states:
            raise _out_of_order(part)
        if part == "header":
            await do_weighed(len(request.header.locks), _header, push, request.header)
            stage = 1
            continue
        stage = order
        items = len(request.manifests.manifests) + len(request.commits.commits)
        items += len(request.commits.signatures)
        size = request.ByteSize()
        steps = size // BYTES_PER_STEP
        push.cost += BYTE_COST * size + ITEM_COST * items
        await hold.grow_to(push.cost)
        if part == "manifests":
            await do_weighed(steps, _manifests, push, request.manifests.manifests)
            await hold.grow_to(push.cost)
        elif part == "commits":
            await do_weighed(steps, _commits, push, request.commits.commits)
            await do_weighed(steps, _signatures, push, request.commits.signatures)
        else:
            push.refs = await do_weighed(steps, parse_ref_updates, request.refs.updates)
    if not push.refs.states:
        raise _out_of_order(None)
    await do_weighed(push.steps, _refuse_unreachable, push)
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
        push.add_manifest(content)


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


def _signatures(push: Push, signatures: Iterable[pb.CommitSignature]) -> None:
    """Reads some signatures of commits that came before them. Runs in a thread."""
    for signature in signatures:
        commit = signature.commit_hash.hex()
        if commit not in push.commits or commit in push.signatures:
            raise invalid_field("commits.signatures", "must name commits of the push, each once")
        field = "commits.signatures.armored"
        push.signatures[commit] = parse_given_signature(field, signature.armored)
        if len(push.signatures) > MAX_SIGNATURES:
            raise batch_too_large("signatures", MAX_SIGNATURES, len(push.signatures))


def _mismatch(part: str, error: FormatError, name: str) -> DomainError:
    """Returns INVALID_FIELD for a broken rule, CONTENT_MISMATCH for a form that is not canonical."""
    if error.field in ("manifest", "commit"):
        return content_mismatch(f"{part}: {error}", actual=name)
    where = f"{name}: " if name else ""
    return invalid_field(f"{part}.{error.field}", where + error.description)


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
