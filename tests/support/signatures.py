"""Signed commits and tags for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, TagContent
from dits.repo.v1.ref_service_pb2 import TagAnnotation

from shared.formats.commits import commit_hash, encode_commit
from shared.formats.tags import encode_tag
from tests.support.branches import Branches
from tests.support.ssh import sign
from tests.support.trees import Tree, build, commit, send, update, upload


async def make_commit(
    branches: Branches, text: str, parent: str = ""
) -> tuple[Tree, CommitContent]:
    """A tree with the file `a` whose chunks are uploaded, and a commit of it by the account."""
    tree = build({"a": text.encode()})
    await upload(branches.api, branches.who, branches.repository, tree.chunks)
    made = commit(tree, *([parent] if parent else []))
    made.author.email = f"{branches.who.username}@example.com"
    return tree, made


def sign_commit(key: Path, made: CommitContent, namespace: str = "dits-commit-v1") -> str:
    """The signature of a commit."""
    return sign(key, encode_commit(made), namespace)


def sign_tag(key: Path, name: str, head: str, said: TagAnnotation) -> TagAnnotation:
    """The annotation of a tag with its signature."""
    content = TagContent(
        commit_hash=bytes.fromhex(head), name=name, tagger=said.tagger, message=said.message
    )
    signed = TagAnnotation()
    signed.CopyFrom(said)
    signed.signature = sign(key, encode_tag(content), "dits-tag-v1")
    return signed


async def push_signed(
    branches: Branches,
    made: CommitContent,
    signatures: Sequence[str],
    tree: Tree | None = None,
    *,
    parent: str = "",
) -> str:
    """Pushes a commit with signatures to main; returns its hash."""
    name = commit_hash(made)
    requests = [pb.PushRequest(header=pb.PushHeader(repository=branches.repository.id))]
    if tree is not None:
        contents = list(tree.manifests.values())
        requests.append(pb.PushRequest(manifests=pb.PushManifests(manifests=contents)))
    signed = [
        pb.CommitSignature(commit_hash=bytes.fromhex(name), armored=text) for text in signatures
    ]
    part = pb.PushCommits(commits=[made], signatures=signed)
    requests.append(pb.PushRequest(commits=part))
    requests.append(pb.PushRequest(refs=pb.PushRefs(updates=[update("main", parent, name)])))
    await send(branches.api, branches.who, requests)
    return name
