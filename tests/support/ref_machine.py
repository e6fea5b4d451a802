"""Calls by chance on a repository, each held against the model: the answer, and what is there then."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from dits.common.v1.permission_pb2 import PERMISSION_ADMIN, PERMISSION_WRITE
from dits.repo.v1 import commit_service_pb2 as commit_pb
from dits.repo.v1 import merge_pb2
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.ref_protection_pb2 import BranchProtection

from tests.support.api import Api
from tests.support.branches import Branches
from tests.support.merges import Merges
from tests.support.obliterations import lift, name, obliterate
from tests.support.ref_calls import RefCalls
from tests.support.ref_chooser import BRANCHES, CONTENTS
from tests.support.ref_model import Rules
from tests.support.release import assert_whole, release_now
from tests.support.repositories import Holding
from tests.support.trees import upload


class RefMachine(RefCalls):
    """Who does all that may be done."""

    @classmethod
    async def open(cls, api: Api, seed: int) -> RefMachine:
        """A repository with one commit on its default branch."""
        films = await Holding.open(api)
        writer = await api.account()
        await api.grant(films.repository, writer, "write")
        machine = cls(api, films, writer, random.Random(seed))
        await machine.push_first()
        return machine

    async def run(self, count: int) -> None:
        """Does some calls, and compares after each."""
        acts: dict[Callable[[], Awaitable[None]], int] = {
            self.push_commit: 10,
            self.move_branch: 4,
            self.create_branch: 4,
            self.delete_branch: 3,
            self.rename_branch: 2,
            self.move_tag: 2,
            self.delete_tag: 1,
            self.protect: 2,
            self.merge: 6,
            self.obliterate: 1,
            self.lift: 1,
            self.delete_and_undelete: 1,
            self.release: 1,
        }
        for number in range(count):
            [act] = self.random.choices(list(acts), list(acts.values()))
            try:
                await act()
                await self.compare()
            except BaseException as error:
                error.add_note(f"call {number}, after:\n" + "\n".join(self.log[-12:]))
                raise
        await assert_whole(self.api, self.films.id)

    async def protect(self) -> None:
        """SetBranchProtection, by the owner."""
        on = Branches(self.api, self.films.repository, self.films.owner)
        branch = self.choose_name()
        rules = Rules(*(self.random.random() < 0.25 for _ in range(4)))
        protection = BranchProtection(
            forbid_force=rules.no_force,
            forbid_deletion=rules.no_deletion,
            required_permission=PERMISSION_ADMIN if rules.admins_only else PERMISSION_WRITE,
            require_linear_history=rules.linear,
        )
        await self.call(f"protect {branch}: {rules}", set(), on.protect(protection, branch))
        self.model.rules.pop(branch, None)
        if rules:
            self.model.rules[branch] = rules

    async def merge(self) -> None:
        """MergeBranches; histories with several merge bases are left to other tests."""
        on, admin = self.choose_caller()
        model, target, source = self.model, self.choose_name(), self.choose_name()
        ours, theirs = model.branches[target], model.branches[source]
        bases = model.find_merge_bases(ours, theirs)
        if target == source or len(bases) > 1:
            return
        merged = None
        if theirs in model.reach(ours):
            outcome, reasons = merge_pb2.MERGE_OUTCOME_UP_TO_DATE, set()
        elif ours in model.reach(theirs):
            outcome = merge_pb2.MERGE_OUTCOME_FAST_FORWARD
            reasons = model.judge_move(target, theirs, force=False, admin=admin)
        elif not bases:
            outcome, reasons = merge_pb2.MERGE_OUTCOME_UNSPECIFIED, {"UNRELATED_HISTORIES"}
        else:
            merged = model.merge(min(bases), ours, theirs)
            outcome, reasons = merge_pb2.MERGE_OUTCOME_MERGED, {"MERGE_CONFLICT"}
            if merged is not None:
                model.add("merge", merged, (ours, theirs))
                reasons = model.judge_move(target, "merge", force=False, admin=admin)
        merges = Merges(self.api, on.who, self.films.repository, "")
        work = merges.merge(ours, target=target, source=source)
        answer = await self.call(f"merge {source} into {target}", reasons, work)
        model.trees.pop("merge", None), model.parents.pop("merge", None)
        if answer is None:
            return
        assert answer.outcome == outcome
        model.branches[target] = answer.head
        if merged is not None:
            model.add(answer.head, merged, (ours, theirs))

    async def obliterate(self) -> None:
        """ObliterateAsset of a file of the default branch."""
        model = self.model
        path, data = self.random.choice(sorted(model.trees[model.branches[model.default]].items()))
        await self.call(f"obliterate {data!r}", set(), obliterate(self.films, path, data))
        model.gone.add(data)

    async def lift(self) -> None:
        """LiftObliteration of a file of the default branch."""
        tree = self.model.trees[self.model.branches[self.model.default]]
        for path, data in sorted(tree.items()):
            if data in self.model.gone:
                chunks = {bytes.fromhex(name(data)): data}
                await upload(self.api, self.films.owner, self.films.repository, chunks)
                await self.call(f"lift {data!r}", set(), lift(self.films, path, data))
                self.model.gone.discard(data)
                return

    async def delete_and_undelete(self) -> None:
        """DeleteRepository; meanwhile nothing may be done; UndeleteRepository."""
        on, _ = self.choose_caller()
        await self.call("delete the repository", set(), self.films.delete())
        work = on.create(self.random.choice(BRANCHES), self.choose_commit())
        await self.call("create a branch", {"NOT_FOUND"}, work)
        await self.call("undelete the repository", set(), self.films.undelete())

    async def release(self) -> None:
        """What no ref reaches is released, as if 30 days had gone by."""
        self.log.append("release")
        await release_now(self.api, self.films.id)
        self.model.release()
        rows = await self.api.fetch(
            "SELECT hash FROM commits WHERE repo_id = $1::uuid", self.films.id
        )
        assert {row["hash"] for row in rows} == self.model.trees.keys()
        await assert_whole(self.api, self.films.id)

    async def compare(self) -> None:
        """Refs, how far each is from the default branch, and two commits are as in the model."""
        model, auth = self.model, self.films.owner.auth
        request = pb.ListBranchesRequest(repository=self.films.id, with_divergence=True)
        listed = (await self.api.refs.ListBranches(request, metadata=auth)).branches
        assert {branch.name: branch.head for branch in listed} == model.branches
        main = model.branches[model.default]
        for branch in listed:
            told = branch.divergence.ahead, branch.divergence.behind
            assert told == model.count_divergence(main, branch.head), branch.name
            assert branch.is_default == (branch.name == model.default)
            assert branch.is_protected == (branch.name in model.rules)
        tags = await self.api.refs.ListTags(
            pb.ListTagsRequest(repository=self.films.id), metadata=auth
        )
        assert {tag.name: tag.head for tag in tags.tags} == model.tags
        await self.compare_commits(*self.random.choices(list(model.trees), k=2))

    async def compare_commits(self, base: str, head: str) -> None:
        """What is between two commits; the files and the history of one."""
        model, auth = self.model, self.films.owner.auth
        found = await self.api.commits.CompareCommits(
            commit_pb.CompareCommitsRequest(repository=self.films.id, base=base, head=head),
            metadata=auth,
        )
        assert set(found.merge_bases) == model.find_merge_bases(base, head)
        assert (found.ahead_count, found.behind_count) == model.count_divergence(base, head)
        assert found.is_ancestor == (base in model.reach(head))
        merges = Merges(self.api, self.films.owner, self.films.repository, "")
        files = {path: name(data) for path, data in model.trees[head].items()}
        assert await merges.files(head) == files
        history = await self.api.commits.ListCommits(
            commit_pb.ListCommitsRequest(repository=self.films.id, revision=head, page_size=1000),
            metadata=auth,
        )
        assert {each.hash for each in history.commits} == model.reach(head)
        assert all(data in CONTENTS for data in model.trees[head].values())
