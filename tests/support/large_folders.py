"""A repository with one large folder, of which every version is pushed and read back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from blake3 import blake3
from dits.repo.v1 import tree_service_pb2
from dits.repo.v1.repository_service_pb2 import Repository

from shared.formats.commits import commit_hash
from tests.support.api import Account, Api
from tests.support.counters import assert_counters
from tests.support.trees import Tree, build, commit, push_commit

LINKS = 1_500
VERSIONS = 40


def make_links(versions: Mapping[int, int]) -> dict[str, bytes | str]:
    """A folder of links: each has 64 hexadecimal digits, of its number and its version."""
    return {
        f"folder/link_{n:05d}": blake3(b"%d %d" % (n, versions.get(n, 0))).hexdigest()
        for n in range(LINKS)
    }


def folder_of(tree: Tree) -> str:
    """The hash of the manifest of the only folder of a tree."""
    [folder] = tree.manifests.keys() - {tree.root}
    return folder


@dataclass(slots=True)
class LargeFolder:
    """A repository whose folder is pushed again and again."""

    api: Api
    ada: Account
    repository: Repository
    head: str = ""
    trees: list[Tree] = field(default_factory=list)

    @classmethod
    async def open(cls, api: Api) -> LargeFolder:
        """A new repository."""
        ada = await api.account()
        return cls(api, ada, await api.repository(ada))

    async def push(self, files: Mapping[str, bytes | str]) -> str:
        """Pushes a version that needs no chunks; returns the hash of the folder."""
        tree = build(files)
        made = commit(tree, *filter(None, [self.head]))
        await push_commit(self.api, self.ada, self.repository, made, tree, expected=self.head)
        self.head = commit_hash(made)
        self.trees.append(tree)
        return folder_of(tree)

    async def push_changes(self, count: int, *, versions: int = VERSIONS) -> None:
        """Pushes versions, each with other targets of some links."""
        chosen, now = random.Random(7), dict[int, int]()
        await self.push(make_links(now))
        for version in range(1, versions):
            now |= dict.fromkeys(chosen.sample(range(LINKS), count), version)
            await self.push(make_links(now))

    async def fetch(self, digest: str) -> bytes:
        """A manifest as GetManifest has it."""
        request = tree_service_pb2.GetManifestRequest(repository=self.repository.id, hash=digest)
        answer = await self.api.trees.GetManifest(request, metadata=self.ada.auth)
        return answer.content

    async def stream(self, revision: str = "") -> set[bytes]:
        """All manifests of a revision."""
        request = tree_service_pb2.StreamTreeRequest(
            repository=self.repository.id, revision=revision
        )
        messages = self.api.trees.StreamTree(request, metadata=self.ada.auth)
        return {content async for message in messages for content in message.manifests}

    async def assert_readable(self) -> None:
        """Every manifest of every version is what was pushed."""
        for tree in self.trees:
            for digest, content in tree.manifests.items():
                assert await self.fetch(digest) == content
        await assert_counters(self.api.dsn)

    async def depths(self) -> list[int]:
        """How many bases each version of the folder has, counted link by link."""
        bases = dict(await self.api.fetch("SELECT hash, delta_base FROM manifests"))
        found = []
        for name in map(folder_of, self.trees):
            depth, base = 0, bases[name]
            while base is not None:
                depth, base = depth + 1, bases[base]
            found.append(depth)
        return found
