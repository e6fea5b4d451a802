"""Pushes that are made to cost much, and an honest one: what they send, and how many bytes that is."""

from __future__ import annotations

import time
from collections.abc import Callable

from blake3 import blake3
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from dits.repo.v1.manifest_pb2 import CommitContent, Directory, Entry, File, Recipe

from benchmarks.callers import User, commit_of, link, push_requests, tree_of, upload_chunks

RECIPE_CHUNKS = 16_384


def _directory(name: str, digest: bytes) -> Entry:
    return Entry(name=name, directory=Directory(manifest_hash=digest))


def _push_case(user: User, root: bytes, contents: list[bytes]) -> tuple[int, Callable[[], str]]:
    head, made = commit_of(root)
    requests = push_requests(user.repository, contents, [made], head, f"b{time.monotonic_ns()}")
    return sum(request.ByteSize() for request in requests), lambda: user.push(requests)


def doubled(user: User) -> tuple[int, Callable[[], str]]:
    """A directory that names the one below twice, 19 times."""
    digest, content = tree_of([link("x")])
    contents = [content]
    for _ in range(19):
        digest, content = tree_of([_directory("a", digest), _directory("b", digest)])
        contents.append(content)
    return _push_case(user, digest, contents)


def doubled_beside_locks(user: User) -> tuple[int, Callable[[], str]]:
    """The same in a repository with a hundred locks."""
    request = AcquireLocksRequest(repository=user.repository, paths=[f"l{n}" for n in range(100)])
    LockServiceStub(user.channels["lock"]).AcquireLocks(request, metadata=user.auth)
    return doubled(user)


def nested(user: User) -> tuple[int, Callable[[], str]]:
    """5,000 directories, each in the one before."""
    digest, content = tree_of([link("x")])
    contents = [content]
    for _ in range(5_000):
        digest, content = tree_of([_directory("d", digest)])
        contents.append(content)
    return _push_case(user, digest, contents)


def recipes(user: User) -> tuple[int, Callable[[], str]]:
    """A file whose list names a recipe of 16,384 chunks 128 times; the chunks are there already."""
    one = blake3(b"z").digest()
    recipe = Recipe(chunk_hashes=one * RECIPE_CHUNKS, chunk_sizes=[1] * RECIPE_CHUNKS)
    content = recipe.SerializeToString(deterministic=True)
    name = blake3(content).digest()
    upload_chunks(user, {one: b"z", name: content})
    size = 128 * RECIPE_CHUNKS
    file = File(mode=0o644, size=size, hash=blake3(b"z" * size).digest(), recipe_hashes=name * 128)
    root, manifest = tree_of([Entry(name="f", file=file)])
    return _push_case(user, root, [manifest])


def large(user: User) -> tuple[int, Callable[[], str]]:
    """A history of 9,760 commits with 21,448 manifests of 2.4 KB, some 51 MB."""
    contents: list[bytes] = []
    commits: list[CommitContent] = []
    parents: list[bytes] = []
    for number in range(9_760):
        below, content = tree_of([link(f"shot{number:05}-{n:03}-{'x' * 40}") for n in range(38)])
        directories = [_directory("a", below)]
        contents.append(content)
        # Every fifth commit changes a second directory, too.
        if number % 5 == 0:
            other, content = tree_of([link(f"b{number:05}-{n:03}-{'x' * 40}") for n in range(38)])
            directories.append(_directory("b", other))
            contents.append(content)
        padding = [link(f"z{n:03}-{'x' * 40}") for n in range(38)]
        root, top = tree_of([*directories, *padding])
        contents.append(top)
        head, made = commit_of(root, *parents, message=str(number))
        commits.append(made)
        parents = [head]
    requests = push_requests(user.repository, contents, commits, parents[0], "large")
    return sum(request.ByteSize() for request in requests), lambda: user.push(requests)


def honest(user: User) -> tuple[int, Callable[[], str]]:
    """A history of 5,000 commits with 10,001 manifests."""
    contents: list[bytes] = []
    commits: list[CommitContent] = []
    parents: list[bytes] = []
    for number in range(5_000):
        below, content = tree_of([link(f"x{number}")])
        root, top = tree_of([_directory("d", below), link("y")])
        contents += [content, top]
        head, made = commit_of(root, *parents, message=str(number))
        commits.append(made)
        parents = [head]
    requests = push_requests(user.repository, contents, commits, parents[0], "honest")
    return sum(request.ByteSize() for request in requests), lambda: user.push(requests)
