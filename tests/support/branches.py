"""What the tests of branches share: short calls of RefService in one repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.ref_protection_pb2 import BranchProtection, BranchRule, ProtectionMembers
from dits.repo.v1.repository_service_pb2 import Repository

from tests.support.api import Account, Api
from tests.support.trees import save


async def read_head(api: Api, who: Account, repository: Repository, branch: str = "main") -> str:
    """Returns where a branch is."""
    request = pb.GetBranchRequest(repository=repository.id, name=branch)
    return str((await api.refs.GetBranch(request, metadata=who.auth)).branch.head)


@dataclass(frozen=True, slots=True)
class Branches:
    """The branches of a repository, as one account calls for them."""

    api: Api
    repository: Repository
    who: Account

    @classmethod
    async def open(cls, api: Api) -> Branches:
        """A new repository and its owner."""
        who = await api.account()
        return cls(api, await api.repository(who), who)

    async def save(self, text: str, *, parent: str = "", branch: str = "main") -> str:
        """Pushes one version of the file `a`; returns its commit."""
        files = {"a": text.encode()}
        return await save(self.api, self.who, self.repository, files, parent=parent, branch=branch)

    async def create(self, name: str, head: str) -> pb.Branch:
        """CreateBranch."""
        request = pb.CreateBranchRequest(repository=self.repository.id, name=name, head=head)
        answer = await self.api.refs.CreateBranch(request, metadata=self.who.auth)
        return answer.branch

    async def get(self, name: str = "") -> pb.Branch:
        """GetBranch."""
        request = pb.GetBranchRequest(repository=self.repository.id, name=name)
        return (await self.api.refs.GetBranch(request, metadata=self.who.auth)).branch

    async def list(self) -> Sequence[pb.Branch]:
        """ListBranches, its first page."""
        request = pb.ListBranchesRequest(repository=self.repository.id)
        return (await self.api.refs.ListBranches(request, metadata=self.who.auth)).branches

    async def names(self, prefix: str = "", size: int = 0) -> Sequence[str]:
        """ListBranches, all pages; the names."""
        request = pb.ListBranchesRequest(
            repository=self.repository.id, name_prefix=prefix, page_size=size
        )
        found: list[str] = []
        while True:
            page = await self.api.refs.ListBranches(request, metadata=self.who.auth)
            found += [branch.name for branch in page.branches]
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def update(self, name: str, old: str, new: str, *, force: bool = False) -> pb.Branch:
        """UpdateBranch."""
        request = pb.UpdateBranchRequest(
            repository=self.repository.id,
            name=name,
            expected_head=old,
            new_head=new,
            force=force,
        )
        return (await self.api.refs.UpdateBranch(request, metadata=self.who.auth)).branch

    async def delete(self, name: str, expected: str, *, validate_only: bool = False) -> int:
        """DeleteBranch; returns how many commits nothing would reach."""
        request = pb.DeleteBranchRequest(
            repository=self.repository.id,
            name=name,
            expected_head=expected,
            validate_only=validate_only,
        )
        answer = await self.api.refs.DeleteBranch(request, metadata=self.who.auth)
        return answer.unreached_commit_count

    async def rename(self, name: str, new_name: str) -> pb.Branch:
        """RenameBranch."""
        request = pb.RenameBranchRequest(
            repository=self.repository.id, name=name, new_name=new_name
        )
        return (await self.api.refs.RenameBranch(request, metadata=self.who.auth)).branch

    async def protect(self, protection: BranchProtection, name: str = "main") -> pb.Branch:
        """SetBranchProtection."""
        request = pb.SetBranchProtectionRequest(
            repository=self.repository.id, name=name, protection=protection
        )
        return (await self.api.refs.SetBranchProtection(request, metadata=self.who.auth)).branch

    async def set_rule(self, pattern: str, protection: BranchProtection) -> BranchRule:
        """SetBranchRule."""
        request = pb.SetBranchRuleRequest(
            repository=self.repository.id, rule=BranchRule(pattern=pattern, protection=protection)
        )
        return (await self.api.refs.SetBranchRule(request, metadata=self.who.auth)).rule

    async def rules(self) -> Sequence[BranchRule]:
        """GetBranchRules."""
        request = pb.GetBranchRulesRequest(repository=self.repository.id)
        return (await self.api.refs.GetBranchRules(request, metadata=self.who.auth)).rules


def members(*users: object, teams: tuple[str, ...] = ()) -> ProtectionMembers:
    """Users and teams, as a protection names them."""
    return ProtectionMembers(user_ids=map(str, users), team_ids=teams)


async def open_pair(api: Api) -> tuple[Branches, Branches]:
    """A repository as its owner calls for it, and as one who may write."""
    branches = await Branches.open(api)
    bob = await api.account()
    await api.grant(branches.repository, bob, "write")
    return branches, replace(branches, who=bob)
