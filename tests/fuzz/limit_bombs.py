"""Pushes of the corpus that are beyond what a tree, a file or a push may have."""

from __future__ import annotations

import uuid

from blake3 import blake3
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, Entry, File

from shared.formats.commits import commit_hash
from tests.fuzz.bombs import bomb, send
from tests.fuzz.conftest import Target
from tests.fuzz.push_bombs import (
    BUSY,
    LIMIT,
    PUSH,
    chain,
    directory,
    header,
    link,
    manifest,
    push_commits,
    push_recipes,
    push_tree,
    recipe_of,
    refs,
    root_commit,
    split,
)
from tests.support.trees import commit, upload


def doubled(levels: int, first: Entry, *, width: int = 2) -> tuple[bytes, list[bytes]]:
    """Directories each of which holds the one below several times."""
    digest, content = manifest(first)
    contents = [content]
    for _ in range(levels):
        digest, content = manifest(*(directory(f"d{i:05}", digest) for i in range(width)))
        contents.append(content)
    return digest, contents


def nested(levels: int, name: str = "d") -> tuple[bytes, list[bytes]]:
    """Directories each of which holds the one below."""
    digest, content = manifest(link("x"))
    contents = [content]
    for _ in range(levels):
        digest, content = manifest(directory(name, digest))
        contents.append(content)
    return digest, contents


async def push_doubled(target: Target, *locks: str, must_lock: bool = False) -> str:
    """Pushes half a million paths in few manifests twice, before the second time with own locks."""
    api, ada = target.api, target.world.ada
    repository = await api.repository(ada, must_lock=must_lock)
    begin = pb.PushRequest(header=pb.PushHeader(repository=repository.id))
    end, head = "", ""
    for text in ("x", "y"):
        if head and locks:
            request = AcquireLocksRequest(
                repository=repository.id, paths=locks, release_on_push=True
            )
            await api.locks.AcquireLocks(request, metadata=ada.auth)
        root, contents = doubled(19, link("x", text))
        made = commit(root.hex(), *([head] if head else []))
        commits = pb.PushRequest(commits=pb.PushCommits(commits=[made]))
        move = pb.RefUpdate(branch="main", expected_head=head, new_head=commit_hash(made))
        moves = pb.PushRequest(refs=pb.PushRefs(updates=[move]))
        end = await send(target, PUSH, begin, *split(contents), commits, moves)
        head = commit_hash(made)
    return end


@bomb("OK")
async def doubled_19_times(target: Target) -> str:
    return await push_doubled(target)


@bomb("OK")
async def doubled_19_times_beside_locks(target: Target) -> str:
    return await push_doubled(target, "elsewhere/", *(f"d00000/{i}" for i in range(900)))


@bomb("OK")
async def doubled_19_times_below_a_lock(target: Target) -> str:
    return await push_doubled(target, "d00000/", "d00001/", must_lock=True)


@bomb("LOCK_REQUIRED")
async def doubled_19_times_with_a_lock_too_few(target: Target) -> str:
    return await push_doubled(target, "d00000/", must_lock=True)


@bomb(*LIMIT)
async def doubled_until_entries_overflow(target: Target) -> str:
    return await push_tree(target, *doubled(33, link("x")))


@bomb(*LIMIT)
async def doubled_until_bytes_overflow(target: Target) -> str:
    data = b"large" * 2_000
    digest = blake3(data).digest()
    await upload(target.api, target.world.ada, target.world.repository, {digest: data})
    file = File(mode=0o644, size=len(data), hash=digest, chunk_hashes=digest, chunk_sizes=[10_000])
    return await push_tree(target, *doubled(60, Entry(name="f", file=file)))


@bomb(*LIMIT)
async def wide_and_deep(target: Target) -> str:
    return await push_tree(target, *doubled(6, link("x"), width=1_000))


@bomb(*LIMIT)
async def nested_20_000_deep(target: Target) -> str:
    return await push_tree(target, *nested(20_000))


@bomb(*LIMIT)
async def nested_600_deep(target: Target) -> str:
    return await push_tree(target, *nested(600))


@bomb(*LIMIT)
async def a_path_of_many_long_names(target: Target) -> str:
    return await push_tree(target, *nested(8, "n" * 200))


@bomb(*LIMIT)
async def a_path_of_one_byte_too_much(target: Target) -> str:
    # 4 names of 255 bytes and `/x`: 1,026 with the slashes.
    return await push_tree(target, *nested(4, "n" * 255))


@bomb("OK", *LIMIT)
async def a_recipe_named_128_times(target: Target) -> str:
    return await push_recipes(target, recipe_of(16_384), 128, 128 * 16_384)


@bomb(*LIMIT)
async def a_recipe_named_100_000_times(target: Target) -> str:
    return await push_recipes(target, recipe_of(16_384), 100_000, 100_000 * 16_384)


@bomb("LOCK_STALE", "INVALID_FIELD", "BATCH_TOO_LARGE", "HISTORY_MISSING")
async def locks_of_nobody(target: Target) -> str:
    locks = [LockFence(lock_id=str(uuid.UUID(int=i + 1)), fence=1) for i in range(90_000)]
    made = root_commit(message="with locks")
    parts = pb.PushRequest(commits=pb.PushCommits(commits=[made]))
    contents = split([manifest(link("root"))[1]])
    head = commit_hash(made)
    return await send(target, PUSH, header(target, locks=locks), *contents, parts, refs(head))


@bomb("OK", *LIMIT, BUSY)
async def directories_10_000(target: Target) -> str:
    made = [manifest(link(f"x{i}")) for i in range(10_000)]
    digest, content = manifest(*(directory(f"d{i:05}", d) for i, (d, _) in enumerate(made)))
    return await push_tree(target, digest, [*(content for _, content in made), content])


@bomb("OK", *LIMIT, BUSY)
async def merges_of_64_parents(target: Target) -> str:
    commits: list[CommitContent] = []
    names: list[bytes] = []
    for number in range(1_000):
        commits.append(root_commit(message=f"merge {number}", parent_hashes=names[-64:]))
        names.append(bytes.fromhex(commit_hash(commits[-1])))
    return await push_commits(target, commits, [manifest(link("root"))[1]])


@bomb("BATCH_TOO_LARGE")
async def moves_of_60_000_branches(target: Target) -> str:
    return await send(target, PUSH, header(target), refs(*["0" * 64] * 60_000))


@bomb("OK", *LIMIT)
async def wide_100_000_entries(target: Target) -> str:
    digest, content = manifest(*(link(f"l{i:06}") for i in range(100_000)))
    return await push_tree(target, digest, [content])


@bomb("OK", *LIMIT, BUSY)
async def commits_of_64_kib(target: Target) -> str:
    return await push_commits(target, chain(400, "m" * 65_000), [manifest(link("root"))[1]])
