"""What the tests of merging share: a repository with two branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dits.repo.v1 import merge_pb2 as pb
from dits.repo.v1 import tree_service_pb2 as tree_pb
from dits.repo.v1.commit_service_pb2 import GetCommitRequest
from dits.repo.v1.ref_service_pb2 import CreateBranchRequest
from dits.repo.v1.repository_service_pb2 import Repository

from tests.support.api import Account, Api
from tests.support.branches import read_head
from tests.support.trees import save

Files = dict[str, bytes | str]
OURS, THEIRS = pb.MERGE_SIDE_OURS, pb.MERGE_SIDE_THEIRS
BASE: Files = {"a": b"1", "b": b"1", "d/e": b"1", "d/f": b"1", "gone": b"1"}


@dataclass(frozen=True, slots=True)
class Merges:
    """A repository with `main` and `side`, which part at `first`."""

    api: Api
    who: Account
    repository: Repository
    first: str

    @classmethod
    async def open(cls, api: Api, *, must_lock: bool = False, base: Files = BASE) -> Merges:
        """A repository with one commit on both branches."""
        who = await api.account()
        repository = await api.repository(who, must_lock=must_lock)
        merges = cls(api, who, repository, await save(api, who, repository, base))
        await merges.branch("side", merges.first)
        return merges

    async def branch(self, name: str, head: str) -> None:
        """A branch at a commit."""
        request = CreateBranchRequest(repository=self.repository.id, name=name, head=head)
        await self.api.refs.CreateBranch(request, metadata=self.who.auth)

    async def save(self, files: Files, parent: str = "", branch: str = "main") -> str:
        """A commit on a branch."""
        return await save(
            self.api,
            self.who,
            self.repository,
            files,
            parent=parent or self.first,
            branch=branch,
        )

    async def head(self, branch: str = "main") -> str:
        """Where a branch is."""
        return await read_head(self.api, self.who, self.repository, branch)

    async def merge(
        self, expected_head: str = "", who: Account | None = None, **fields: Any
    ) -> pb.MergeBranchesResponse:
        """MergeBranches of side into main, unless the fields say otherwise."""
        named = {"target": "main", "source": "side"} | fields
        request = pb.MergeBranchesRequest(
            repository=self.repository.id,
            expected_head=expected_head or await self.head(named["target"]),
            **named,
        )
        answer: pb.MergeBranchesResponse = await self.api.refs.MergeBranches(
            request, metadata=(who or self.who).auth
        )
        return answer

    async def parents(self, commit: str) -> list[str]:
        """The parents of a commit."""
        request = GetCommitRequest(repository=self.repository.id, revision=commit)
        found = await self.api.commits.GetCommit(request, metadata=self.who.auth)
        return list(found.commit.parent_hashes)

    async def files(self, revision: str = "main") -> dict[str, str]:
        """All files and links of a revision: size or target, mode."""
        request = tree_pb.ListPathsRequest(
            repository=self.repository.id, revision=revision, page_size=1000
        )
        page = await self.api.trees.ListPaths(request, metadata=self.who.auth)
        assert not page.next_page_token
        return {
            entry.path: entry.entry.hash or entry.entry.target
            for entry in page.entries
            if entry.entry.kind != tree_pb.ENTRY_KIND_DIRECTORY
        }


def side(path: str, taken: pb.MergeSide.ValueType) -> pb.MergeResolution:
    """A resolution of one path."""
    return pb.MergeResolution(path=path, side=taken)
