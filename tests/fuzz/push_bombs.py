"""Pushes of the corpus."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from blake3 import blake3
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import (
    CommitContent,
    Directory,
    Entry,
    File,
    Manifest,
    Recipe,
    Signer,
    Symlink,
)
from dits.repo.v1.tree_service_pb2 import StreamTreeRequest

from shared.formats.commits import commit_hash
from tests.fuzz.bombs import bomb, encode_varint, send
from tests.fuzz.conftest import Target
from tests.support.trees import commit, upload

PUSH = "/dits.repo.v1.CommitService/Push"
# A push beyond a published limit.
LIMIT = ("INVALID_FIELD", "BATCH_TOO_LARGE", "FILE_REFUSED")
BUSY = "SERVER_BUSY"


def manifest(*entries: Entry) -> tuple[bytes, bytes]:
    """A manifest: its hash and its bytes."""
    content = Manifest(entries=entries).SerializeToString(deterministic=True)
    return blake3(content).digest(), content


def link(name: str, target: str = "x") -> Entry:
    return Entry(name=name, symlink=Symlink(target=target))


def directory(name: str, digest: bytes) -> Entry:
    return Entry(name=name, directory=Directory(manifest_hash=digest))


def header(target: Target, **fields: object) -> pb.PushRequest:
    made = pb.PushHeader(repository=target.world.repository.id, **fields)  # type: ignore[arg-type]
    return pb.PushRequest(header=made)


def split(contents: Iterable[bytes], size: int = 3 << 20) -> list[pb.PushRequest]:
    """Messages of manifests."""
    parts: list[list[bytes]] = [[]]
    weight = 0
    for content in contents:
        if weight + len(content) > size or len(parts[-1]) >= 100_000:
            parts.append([])
            weight = 0
        parts[-1].append(content)
        weight += len(content)
    return [pb.PushRequest(manifests=pb.PushManifests(manifests=part)) for part in parts]


def refs(*heads: str) -> pb.PushRequest:
    """A last message that creates a branch for each head."""
    updates = [pb.RefUpdate(branch=f"bomb-{uuid.uuid4()}", new_head=head) for head in heads]
    return pb.PushRequest(refs=pb.PushRefs(updates=updates))


async def push_tree(target: Target, root: bytes, contents: Iterable[bytes]) -> str:
    """Pushes a tree as a commit on a new branch."""
    made = commit(root.hex())
    return await push_commits(target, [made], contents)


async def push_commits(
    target: Target, commits: Sequence[CommitContent], contents: Iterable[bytes] = ()
) -> str:
    parts = [pb.PushRequest(commits=pb.PushCommits(commits=[each])) for each in commits]
    if len(parts) > 1_000:
        parts = [
            pb.PushRequest(commits=pb.PushCommits(commits=commits[at : at + 1000]))
            for at in range(0, len(commits), 1000)
        ]
    end = refs(commit_hash(commits[-1]))
    return await send(target, PUSH, header(target), *split(contents), *parts, end)


@bomb("BATCH_TOO_LARGE", "INVALID_FIELD", "CONTENT_MISMATCH")
async def a_manifest_above_its_size(target: Target) -> str:
    digest, content = manifest(*(link(f"l{i:05}", "t" * 4_000) for i in range(4_300)))
    return await push_tree(target, digest, [content])


@bomb("INVALID_FIELD")
async def a_name_that_is_slow_to_normalize(target: Target) -> str:
    return await push_tree(target, *_one(link("a" + "\u0301\u0323" * 200_000)))


def _one(entry: Entry) -> tuple[bytes, list[bytes]]:
    digest, content = manifest(entry)
    return digest, [content]


@bomb("BATCH_TOO_LARGE")
async def empty_manifests_without_number(target: Target) -> str:
    body = b"\x12" + encode_varint(400_000) + b"\x0a\x00" * 200_000
    return await send(target, PUSH, header(target), body)


@bomb("OK", *LIMIT)
async def one_manifest_100_000_times(target: Target) -> str:
    digest, content = manifest(link("same"))
    return await push_tree(target, digest, [content] * 100_000)


@bomb("CONTENT_MISMATCH", "INVALID_FIELD")
async def garbage_100_000_times(target: Target) -> str:
    contents = (bytes([255, i & 255, i >> 8 & 255, i >> 16]) for i in range(100_000))
    return await push_tree(target, blake3(b"a").digest(), contents)


@bomb(*LIMIT)
async def manifests_of_no_commit(target: Target) -> str:
    stray = [manifest(link(f"s{i}"))[1] for i in range(20_000)]
    digest, content = manifest(link("root"))
    return await push_tree(target, digest, [*stray, content])


async def push_recipes(target: Target, recipe: bytes, times: int, size: int) -> str:
    name = blake3(recipe).digest()
    chunks = {name: recipe, blake3(b"z").digest(): b"z"}
    await upload(target.api, target.world.ada, target.world.repository, chunks)
    content = blake3(b"z" * size).digest()
    file = File(mode=0o644, size=size, hash=content, recipe_hashes=name * times)
    return await push_tree(target, *_one(Entry(name="f", file=file)))


def recipe_of(count: int) -> bytes:
    made = Recipe(chunk_hashes=blake3(b"z").digest() * count, chunk_sizes=[1] * count)
    return made.SerializeToString(deterministic=True)


@bomb("CONTENT_MISMATCH", *LIMIT)
async def a_recipe_that_is_none(target: Target) -> str:
    return await push_recipes(target, b"\xff" * 1_000, 1, 1_000)


@bomb("CHUNKS_MISSING", *LIMIT)
async def recipes_that_nobody_has(target: Target) -> str:
    names = b"".join(blake3(bytes([i & 255, i >> 8])).digest() for i in range(1_000))
    file = File(mode=0o644, size=1_000 * 16_384, hash=names[:32], recipe_hashes=names)
    return await push_tree(target, *_one(Entry(name="f", file=file)))


def root_commit(**fields: object) -> CommitContent:
    digest, _ = manifest(link("root"))
    who = Signer(name="Ada", email="ada@example.com", time_us=1_700_000_000_000_000)
    usual = {"tree_hash": digest, "author": who, "committer": who, "message": "m"}
    return CommitContent(**{**usual, **fields})  # type: ignore[arg-type]


def chain(count: int, message: str = "m") -> list[CommitContent]:
    """Commits each of which follows the one before."""
    commits = [root_commit(message=message)]
    for number in range(1, count):
        parent = bytes.fromhex(commit_hash(commits[-1]))
        commits.append(root_commit(message=f"{number} {message}", parent_hashes=[parent]))
    return commits


@bomb("OK", *LIMIT, BUSY)
async def commits_5_000_in_a_row(target: Target) -> str:
    return await push_commits(target, chain(5_000), [manifest(link("root"))[1]])


@bomb("INVALID_FIELD", "BATCH_TOO_LARGE")
async def parents_without_number(target: Target) -> str:
    made = root_commit(parent_hashes=[b"p" * 32] * 100_000)
    parts = pb.PushRequest(commits=pb.PushCommits(commits=[made]))
    return await send(target, PUSH, header(target), parts, refs("0" * 64))


@bomb("INVALID_FIELD")
async def a_message_above_its_size(target: Target) -> str:
    parts = pb.PushRequest(commits=pb.PushCommits(commits=[root_commit(message="m" * (1 << 20))]))
    return await send(target, PUSH, header(target), parts, refs("0" * 64))


@bomb("BATCH_TOO_LARGE")
async def locks_without_number(target: Target) -> str:
    return await send(target, PUSH, header(target, locks=[LockFence()] * 200_000))


@bomb("BATCH_TOO_LARGE")
async def moves_of_1_001_branches(target: Target) -> str:
    return await send(target, PUSH, header(target), refs(*["0" * 64] * 1_001))


@bomb("STREAM_ORDER", *LIMIT)
async def very_many_messages(target: Target) -> str:
    each = pb.PushRequest(manifests=pb.PushManifests(manifests=[manifest(link("m"))[1]]))
    return await send(target, PUSH, header(target), *[each] * 5_000)


@bomb("OK", *LIMIT, BUSY)
async def versions_of_the_largest_folder(target: Target) -> str:
    """They shrink to nothing, and each is a delta to the one before."""
    commits: list[CommitContent] = []
    contents = []
    for version in range(7):
        changed = (str(version if i % 7 == version else 0) + "t" * 4_000 for i in range(4_100))
        digest, content = manifest(*(link(f"l{i:05}", t) for i, t in enumerate(changed)))
        parents = [bytes.fromhex(commit_hash(before)) for before in commits[-1:]]
        commits.append(root_commit(tree_hash=digest, parent_hashes=parents))
        contents.append(content)
    ended = await push_commits(target, commits, contents)
    if ended != "OK":
        return ended
    request = StreamTreeRequest(
        repository=target.world.repository.id, revision=commit_hash(commits[-1])
    )
    return await send(target, "/dits.repo.v1.TreeService/StreamTree", request)
