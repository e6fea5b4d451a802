"""Calls by chance on branches and tags."""

from __future__ import annotations

from dits.repo.v1 import ref_service_pb2 as pb

from shared.formats.commits import commit_hash
from tests.support.branches import Branches
from tests.support.ref_chooser import BRANCHES, CONTENTS, TAGS, Chooser
from tests.support.ref_model import Tree
from tests.support.tags import move_tag
from tests.support.trees import build, commit, push, update, upload


class RefCalls(Chooser):
    """Who calls for refs."""

    async def push_first(self) -> None:
        """The first commit."""
        on = Branches(self.api, self.films.repository, self.films.owner)
        tree: Tree = {"a": CONTENTS[0], "d/c": CONTENTS[1]}
        built = build(dict(tree))
        await upload(self.api, on.who, on.repository, built.chunks)
        made = commit(built)
        moves = [update("main", "", commit_hash(made))]
        await push(self.api, on.who, on.repository, [made], moves, [built])
        self.model.add(commit_hash(made), tree, ())
        self.model.branches["main"] = commit_hash(made)

    async def push_commit(self) -> None:
        """A push of one or two commits to a branch, which may be new, perhaps with a tag."""
        on, admin = self.choose_caller()
        model, name = self.model, self.random.choice(BRANCHES)
        current, force = model.branches.get(name, ""), self.random.random() < 0.4
        parents = [current] if current and self.random.random() < 0.6 else []
        while len(parents) < self.random.choice((1, 1, 1, 2)):
            parents = list(dict.fromkeys([*parents, self.choose_commit()]))
        is_known = all(parent in model.trees for parent in parents)
        tree = self.choose_tree(parents if is_known else [])
        built = build(dict(tree))
        await upload(self.api, on.who, on.repository, built.chunks)
        made = commit(built, *parents)
        head, expected = commit_hash(made), self.choose_expected(current)
        reasons = {"HEAD_MOVED"} if expected != current else set()
        if not reasons and not is_known:
            reasons = {"HISTORY_MISSING"}
        elif not reasons:
            model.add(head, tree, parents)
            if current:
                reasons = model.judge_move(name, head, force=force, admin=admin)
            elif any(model.brings_gone_by_commits(parent) for parent in parents):
                reasons.add("CONTENT_OBLITERATED")
            if model.brings_gone(head, parents):
                reasons.add("CONTENT_OBLITERATED")
        moves = [update(name, expected, head, force=force)]
        work = push(self.api, on.who, on.repository, [made], moves, [built])
        if await self.call(f"push {name} {head[:8]} on {parents}", reasons, work):
            model.branches[name] = head
        elif head in model.trees:
            del model.trees[head], model.parents[head]

    async def move_branch(self) -> None:
        """UpdateBranch."""
        on, admin = self.choose_caller()
        name, new, force = self.choose_name(), self.choose_commit(), self.random.random() < 0.5
        current = self.model.branches[name]
        expected = self.choose_expected(current)
        if new not in self.model.trees:
            reasons = {"NOT_FOUND"}
        elif current == new:
            reasons = set()
        elif expected != current:
            reasons = {"HEAD_MOVED"}
        else:
            reasons = self.model.judge_move(name, new, force=force, admin=admin)
        request = pb.UpdateBranchRequest(
            repository=self.films.id, name=name, expected_head=expected, new_head=new, force=force
        )
        work = self.api.refs.UpdateBranch(request, metadata=on.who.auth)
        if await self.call(f"move {name} to {new[:8]}", reasons, work):
            self.model.branches[name] = new

    async def create_branch(self) -> None:
        """CreateBranch."""
        on, _ = self.choose_caller()
        name, head = self.random.choice(BRANCHES), self.choose_commit()
        if head not in self.model.trees:
            reasons = {"NOT_FOUND"}
        elif name in self.model.branches:
            reasons = set() if self.model.branches[name] == head else {"NAME_TAKEN"}
        else:
            is_refused = self.model.brings_gone_by_commits(head)
            reasons = {"CONTENT_OBLITERATED"} if is_refused else set()
        if await self.call(f"create {name} at {head[:8]}", reasons, on.create(name, head)):
            self.model.branches[name] = head

    async def delete_branch(self) -> None:
        """DeleteBranch."""
        on, admin = self.choose_caller()
        name = self.choose_name()
        expected = self.choose_expected(self.model.branches[name])
        if name == self.model.default:
            reasons = {"DEFAULT_BRANCH"}
        elif expected != self.model.branches[name]:
            reasons = {"HEAD_MOVED"}
        else:
            reasons = self.model.judge_removal(name, admin=admin)
        await self.call(f"delete {name}", reasons, on.delete(name, expected))
        if not reasons:
            del self.model.branches[name]
            self.model.rules.pop(name, None)

    async def rename_branch(self) -> None:
        """RenameBranch."""
        on, admin = self.choose_caller()
        model, name, new = self.model, self.choose_name(), self.random.choice(BRANCHES)
        if name == new:
            return
        if new in model.branches:
            reasons = {"NAME_TAKEN"}
        elif name == model.default and not admin:
            reasons = {"PERMISSION_MISSING"}
        else:
            reasons = model.judge_removal(name, admin=admin)
        if await self.call(f"rename {name} to {new}", reasons, on.rename(name, new)):
            model.branches[new] = model.branches.pop(name)
            if name in model.rules:
                model.rules[new] = model.rules.pop(name)
            model.default = new if model.default == name else model.default

    async def move_tag(self) -> None:
        """A push that creates or moves a tag."""
        on, _ = self.choose_caller()
        tag, head, force = (
            self.random.choice(TAGS),
            self.choose_commit(),
            self.random.random() < 0.6,
        )
        current = self.model.tags.get(tag, "")
        expected = self.choose_expected(current)
        if head not in self.model.trees:
            reasons = {"HISTORY_MISSING"}
        elif current == head:
            reasons = set()
        elif expected != current:
            reasons = {"HEAD_MOVED"}
        else:
            reasons = {"NOT_FAST_FORWARD"} if current and not force else set()
        moves = [move_tag(tag, expected, head, force=force)]
        work = push(self.api, on.who, on.repository, [], moves)
        if await self.call(f"tag {tag} at {head[:8]}", reasons, work):
            self.model.tags[tag] = head

    async def delete_tag(self) -> None:
        """DeleteTag."""
        for tag, head in self.model.tags.items():
            on, _ = self.choose_caller()
            request = pb.DeleteTagRequest(repository=self.films.id, name=tag, expected_head=head)
            work = self.api.refs.DeleteTag(request, metadata=on.who.auth)
            await self.call(f"delete tag {tag}", set(), work)
            del self.model.tags[tag]
            return
