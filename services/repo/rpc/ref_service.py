"""RefService: branches and tags, and their protection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dits.repo.v1 import merge_pb2
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.ref_protection_pb2 import BranchProtection

from services.repo.history import branches, tags
from services.repo.history.branch_moves import BranchUpdate
from services.repo.history.branch_rules import parse_rule, read_rules, set_rule
from services.repo.history.divergence import compare_branches
from services.repo.history.protection_changes import parse_branch_protection, protect_branch
from services.repo.history.tag_protection import (
    check_tag_protection,
    protect_tags,
    read_tag_protection,
)
from services.repo.history.unreached import count_unreached
from services.repo.rpc.heavy_calls import HeavyCalls
from services.repo.rpc.merge_branches import BranchMerges
from services.repo.rpc.ref_messages import (
    add_divergence,
    branch_message,
    describe_branches,
    measure_tag,
    parse_tag,
    tag_message,
)
from shared.db import sql
from shared.db.pool import Connection, Databases, Row
from shared.errors import invalid_field, not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

Deletion = Callable[[Connection, Call, str, str], Awaitable[None]]


class RefService:
    """The RPCs of dits.repo.v1.RefService."""

    def __init__(self, databases: Databases, key: ServerKey, merges: BranchMerges) -> None:
        self._databases = databases
        self._key = key
        self._heavy_calls = HeavyCalls()
        self._merges = merges

    async def CreateBranch(
        self, request: pb.CreateBranchRequest, call: Call
    ) -> pb.CreateBranchResponse:
        """Creates a branch at a commit of the repository."""
        name = validation.branch("name", request.name)
        head = validation.digest("head", request.head)
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: branches.create_branch(connection, call, name, head)
        )
        return pb.CreateBranchResponse(branch=await self._describe(row, call))

    async def GetBranch(self, request: pb.GetBranchRequest, call: Call) -> pb.GetBranchResponse:
        """Returns one branch."""
        name = validation.branch("name", request.name) if request.name else None
        database = self._databases.of(call.repository.id)
        row = await database.fetchrow(Q.get_branch, call.repository.id, name)
        if row is None:
            raise not_found("branch", request.name)
        return pb.GetBranchResponse(branch=await self._describe(row, call))

    async def ListBranches(
        self, request: pb.ListBranchesRequest, call: Call
    ) -> pb.ListBranchesResponse:
        """Lists branches by name."""
        page = Page(self._key, request, call)
        prefix = validation.text("name_prefix", request.name_prefix, most=256)
        (after,) = page.after or (None,)
        database = self._databases.of(call.repository.id)
        asked = Q.bind.list_branches(
            repository_id=call.repository.id,
            prefix=prefix,
            after=after,
            shelves=request.include_shelves,
            count=page.size + 1,
        )
        found = await database.fetch(*asked)
        rows, token = page.answer(found, lambda row: (row["name"],))
        rules = await read_rules(database, call.repository.id)
        listed = await asyncio.to_thread(describe_branches, rows, rules)
        if request.with_divergence and listed:
            async with self._heavy_calls.turn(call):
                compared = await compare_branches(
                    database, call.repository.id, [branch.head for branch in listed]
                )
            if add_divergence(listed, compared):
                token = page.token(listed[-1].name)
        return pb.ListBranchesResponse(branches=listed, next_page_token=token)

    async def UpdateBranch(
        self, request: pb.UpdateBranchRequest, call: Call
    ) -> pb.UpdateBranchResponse:
        """Moves a branch between commits of the repository."""
        update = BranchUpdate(
            validation.branch("name", request.name),
            validation.digest("expected_head", request.expected_head),
            validation.digest("new_head", request.new_head),
            request.force,
        )
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: branches.update_branch(connection, call, update)
        )
        return pb.UpdateBranchResponse(branch=await self._describe(row, call))

    async def DeleteBranch(
        self, request: pb.DeleteBranchRequest, call: Call
    ) -> pb.DeleteBranchResponse:
        """Removes a branch; its commits stay until they are collected."""
        count = await self._delete(request, call, branches.delete_branch)
        return pb.DeleteBranchResponse(unreached_commit_count=count)

    async def RenameBranch(
        self, request: pb.RenameBranchRequest, call: Call
    ) -> pb.RenameBranchResponse:
        """Gives a branch another name."""
        name = validation.branch("name", request.name)
        new_name = validation.branch("new_name", request.new_name)
        if new_name == name:
            raise invalid_field("new_name", "must be another name")
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: branches.rename_branch(connection, call, name, new_name)
        )
        return pb.RenameBranchResponse(branch=await self._describe(row, call))

    async def SetBranchProtection(
        self, request: pb.SetBranchProtectionRequest, call: Call
    ) -> pb.SetBranchProtectionResponse:
        """Replaces the protection of a branch."""
        name = validation.branch("name", request.name) if request.name else None
        protection = await asyncio.to_thread(parse_branch_protection, request.protection)
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: protect_branch(connection, call, name, protection)
        )
        return pb.SetBranchProtectionResponse(branch=await self._describe(row, call))

    async def GetBranchRules(
        self, request: pb.GetBranchRulesRequest, call: Call
    ) -> pb.GetBranchRulesResponse:
        """Returns the rules that protect branches by their names."""
        del request
        database = self._databases.of(call.repository.id)
        rules = await read_rules(database, call.repository.id)
        return pb.GetBranchRulesResponse(rules=rules.rules)

    async def SetBranchRule(
        self, request: pb.SetBranchRuleRequest, call: Call
    ) -> pb.SetBranchRuleResponse:
        """Replaces the rule of a pattern."""
        rule = await asyncio.to_thread(parse_rule, request.rule)
        await self._databases.of(call.repository.id).transaction(
            lambda connection: set_rule(connection, call, rule)
        )
        is_there = rule.protection != BranchProtection()
        return pb.SetBranchRuleResponse(rule=rule if is_there else None)

    async def _describe(self, row: Row, call: Call) -> pb.Branch:
        """Returns a branch with all that protects it."""
        database = self._databases.of(call.repository.id)
        rules = await read_rules(database, call.repository.id)
        return branch_message(row, rules.select(row["name"]))

    async def CreateTag(self, request: pb.CreateTagRequest, call: Call) -> pb.CreateTagResponse:
        """Creates a tag at a commit of the repository."""
        # A signature takes up to some milliseconds.
        update = await asyncio.to_thread(parse_tag, request)
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: tags.create_tag(connection, call, update)
        )
        return pb.CreateTagResponse(tag=tag_message(row))

    async def GetTag(self, request: pb.GetTagRequest, call: Call) -> pb.GetTagResponse:
        """Returns one tag."""
        name = validation.branch("name", request.name)
        async with self._databases.of(call.repository.id).connection() as connection:
            row = await tags.read_tag(connection, call.repository.id, name)
        return pb.GetTagResponse(tag=tag_message(row))

    async def ListTags(self, request: pb.ListTagsRequest, call: Call) -> pb.ListTagsResponse:
        """Lists tags by name."""
        page = Page(self._key, request, call)
        prefix = validation.text("name_prefix", request.name_prefix, most=256)
        (after,) = page.after or (None,)
        database = self._databases.of(call.repository.id)
        found = await tags.list_tags(database, call.repository.id, prefix, after, page.size + 1)
        rows, token = page.answer(found, lambda row: (row["name"],), measure_tag)
        return pb.ListTagsResponse(tags=map(tag_message, rows), next_page_token=token)

    async def DeleteTag(self, request: pb.DeleteTagRequest, call: Call) -> pb.DeleteTagResponse:
        """Removes a tag; its commits stay until they are collected."""
        count = await self._delete(request, call, tags.delete_tag)
        return pb.DeleteTagResponse(unreached_commit_count=count)

    async def _delete(
        self, request: pb.DeleteBranchRequest | pb.DeleteTagRequest, call: Call, delete: Deletion
    ) -> int:
        """Deletes a ref; with `validate_only` just counts the commits that nothing would reach."""
        name = validation.branch("name", request.name)
        expected = validation.digest("expected_head", request.expected_head)

        async def work(connection: Connection) -> int:
            await delete(connection, call, name, expected)
            is_trial = request.validate_only
            return (
                await count_unreached(connection, call.repository.id, expected) if is_trial else 0
            )

        database = self._databases.of(call.repository.id)
        return await database.transaction(work, undo=request.validate_only)

    async def GetTagProtection(
        self, request: pb.GetTagProtectionRequest, call: Call
    ) -> pb.GetTagProtectionResponse:
        """Returns what protects tags."""
        del request
        async with self._databases.of(call.repository.id).connection() as connection:
            protection = await read_tag_protection(connection, call)
        return pb.GetTagProtectionResponse(protection=protection)

    async def SetTagProtection(
        self, request: pb.SetTagProtectionRequest, call: Call
    ) -> pb.SetTagProtectionResponse:
        """Replaces what protects tags."""
        protection = await asyncio.to_thread(check_tag_protection, request.protection)
        await self._databases.of(call.repository.id).transaction(
            lambda connection: protect_tags(connection, call, protection)
        )
        shown = protection if protection.patterns else None
        return pb.SetTagProtectionResponse(protection=shown)

    async def MergeBranches(
        self, request: merge_pb2.MergeBranchesRequest, call: Call
    ) -> merge_pb2.MergeBranchesResponse:
        """Merges a branch into another, by path."""
        return await self._merges.merge(request, call)
