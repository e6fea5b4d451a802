"""Small histories for tests: files in memory become chunks, manifests, commits and pushes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import (
    CommitContent,
    Directory,
    Entry,
    File,
    Manifest,
    Signer,
    Symlink,
)
from dits.repo.v1.repository_service_pb2 import Repository

from shared.formats import manifests
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from shared.formats.recipes import encode_list
from tests.support.api import Account, Api

_times = itertools.count(1_700_000_000_000_000, 1_000_000)
CHUNK = 1000


@dataclass(slots=True)
class Tree:
    """A tree with everything that has to be pushed for it."""

    root: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    chunks: dict[bytes, bytes] = field(default_factory=dict)


def file_entry(name: str, data: bytes, chunks: dict[bytes, bytes], *, mode: int = 0o644) -> Entry:
    """A file cut every CHUNK bytes; its chunks, recipes included, are added to `chunks`."""
    pieces = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
    hashes = [blake3(piece).digest() for piece in pieces]
    chunks.update(zip(hashes, pieces, strict=True))
    file = File(mode=mode, size=len(data), hash=blake3(data).digest())
    recipes = list(encode_list(b"".join(hashes), list(map(len, pieces))))
    if recipes:
        names = [blake3(recipe).digest() for recipe in recipes]
        chunks.update(zip(names, recipes, strict=True))
        file.recipe_hashes = b"".join(names)
    else:
        file.chunk_hashes = b"".join(hashes)
        file.chunk_sizes.extend(map(len, pieces))
    return Entry(name=name, file=file)


def build(files: Mapping[str, bytes | str]) -> Tree:
    """A tree of files (bytes) and symbolic links (str), by path."""
    tree = Tree()
    tree.root = _directory(tree, {path.split("/")[0] for path in files}, "", files)
    return tree


def _directory(tree: Tree, names: set[str], prefix: str, files: Mapping[str, bytes | str]) -> str:
    entries = []
    for name in sorted(names):
        path = prefix + name
        if path not in files:
            below = f"{path}/"
            inside = {p[len(below) :].split("/")[0] for p in files if p.startswith(below)}
            child = bytes.fromhex(_directory(tree, inside, below, files))
            entries.append(Entry(name=name, directory=Directory(manifest_hash=child)))
        elif isinstance(content := files[path], str):
            entries.append(Entry(name=name, symlink=Symlink(target=content)))
        else:
            entries.append(file_entry(name, content, tree.chunks))
    content = manifests.encode_manifest(Manifest(entries=entries))
    tree.manifests[content_hash(content)] = content
    return content_hash(content)


def commit(tree: Tree | str, *parents: str, message: str = "change") -> CommitContent:
    """A commit of a tree."""
    who = Signer(name="Ada", email="ada@example.com", time_us=next(_times))
    root = tree if isinstance(tree, str) else tree.root
    return CommitContent(
        tree_hash=bytes.fromhex(root),
        parent_hashes=[bytes.fromhex(parent) for parent in parents],
        author=who,
        committer=who,
        message=message,
    )


async def upload(
    api: Api, who: Account, repository: Repository, chunks: Mapping[bytes, bytes]
) -> list[chunk_pb.UploadChunksResponse]:
    """Uploads chunks in one stream."""

    async def messages() -> AsyncIterator[chunk_pb.UploadChunksRequest]:
        yield chunk_pb.UploadChunksRequest(repository=repository.id)
        listed = list(chunks.items())
        for at in range(0, len(listed), 500):
            yield chunk_pb.UploadChunksRequest(
                chunks=[
                    chunk_pb.UploadedChunk(
                        hash=name,
                        size=len(data),
                        compression=chunk_pb.COMPRESSION_NONE,
                        data=data,
                    )
                    for name, data in listed[at : at + 500]
                ]
            )

    stream = api.chunks.UploadChunks(messages(), metadata=who.auth)
    answers = [answer async for answer in stream]
    assert not [failure for answer in answers for failure in answer.failures]
    return answers


def update(branch: str, old: str, new: str, *, force: bool = False) -> pb.RefUpdate:
    """The move of a branch."""
    return pb.RefUpdate(branch=branch, expected_head=old, new_head=new, force=force)


async def push(
    api: Api,
    who: Account,
    repository: Repository,
    commits: Sequence[CommitContent],
    updates: Sequence[pb.RefUpdate],
    trees: Sequence[Tree] = (),
    *,
    request_id: str = "",
    locks: Sequence[LockFence] = (),
) -> pb.PushResponse:
    """Pushes manifests, commits and refs; the chunks must be there."""
    requests = [
        pb.PushRequest(
            header=pb.PushHeader(repository=repository.id, request_id=request_id, locks=locks)
        )
    ]
    contents = [content for tree in trees for content in tree.manifests.values()]
    if contents:
        requests.append(pb.PushRequest(manifests=pb.PushManifests(manifests=contents)))
    if commits:
        requests.append(pb.PushRequest(commits=pb.PushCommits(commits=commits)))
    requests.append(pb.PushRequest(refs=pb.PushRefs(updates=updates)))
    return await send(api, who, requests)


async def push_commit(
    api: Api,
    who: Account,
    repository: Repository,
    made: CommitContent,
    *parts: Tree,
    expected: str = "",
) -> pb.PushResponse:
    """Pushes one commit to main."""
    moves = [update("main", expected, commit_hash(made))]
    return await push(api, who, repository, [made], moves, parts)


async def send(api: Api, who: Account, requests: Sequence[pb.PushRequest]) -> pb.PushResponse:
    """Sends the messages of a push as they are."""
    stream = api.commits.Push(iter(requests), metadata=who.auth)
    response: pb.PushResponse = await stream
    return response


async def save(
    api: Api,
    who: Account,
    repository: Repository,
    files: Mapping[str, bytes | str],
    *,
    parent: str = "",
    branch: str = "main",
    message: str = "change",
) -> str:
    """Uploads and pushes one version of a folder; returns its commit."""
    tree = build(files)
    await upload(api, who, repository, tree.chunks)
    made = commit(tree, *([parent] if parent else []), message=message)
    name = commit_hash(made)
    await push(api, who, repository, [made], [update(branch, parent, name)], [tree])
    return name


async def push_line(
    api: Api, who: Account, repository: Repository, messages: Sequence[str]
) -> list[str]:
    """Pushes commits, each the parent of the next; returns their hashes, the newest first."""
    tree = build({"a": b"1"})
    await upload(api, who, repository, tree.chunks)
    made: list[CommitContent] = []
    names: list[str] = []
    for message in messages:
        made.append(commit(tree, *names[-1:], message=message))
        names.append(commit_hash(made[-1]))
    await push(api, who, repository, made, [update("main", "", names[-1])], [tree])
    return names[::-1]
