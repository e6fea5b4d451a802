"""Calls by chance on refs: who calls, what for, and whether the answer is one that the model allows."""

from __future__ import annotations

import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.support.api import Account, Api, read_error
from tests.support.branches import Branches
from tests.support.ref_model import RefModel, Tree
from tests.support.repositories import Holding

BRANCHES = ("main", "a", "b", "c")
TAGS = ("v1", "v2")
PATHS = ("a", "b", "d/c", "d/e", "f/g/h")
CONTENTS = tuple(b"%d" % n for n in range(6))


@dataclass(slots=True)
class Chooser:
    """A repository, its model, and two who call: its owner, and somebody who may write.

    Attributes:
        log: what was called.
    """

    api: Api
    films: Holding
    writer: Account
    random: random.Random
    model: RefModel = field(default_factory=RefModel)
    log: list[str] = field(default_factory=list)

    def choose_caller(self) -> tuple[Branches, bool]:
        """Who calls, and whether they have ADMIN."""
        admin = self.random.random() < 0.5
        who = self.films.owner if admin else self.writer
        return Branches(self.api, self.films.repository, who), admin

    def choose_commit(self) -> str:
        """A commit, mostly one that is there."""
        if self.model.forgotten and self.random.random() < 0.05:
            return self.random.choice(self.model.forgotten)
        recent = list(self.model.trees)[-12:]
        return self.random.choice([*recent, *self.model.branches.values()])

    def choose_expected(self, current: str) -> str:
        """Where a ref is, or mostly so."""
        return current if self.random.random() < 0.85 else self.choose_commit()

    def choose_name(self) -> str:
        """A branch that is there."""
        return self.random.choice(sorted(self.model.branches))

    def choose_tree(self, parents: list[str]) -> Tree:
        """The tree of a parent with a few changes."""
        tree = dict(self.model.trees[parents[0]]) if parents else {}
        for path in self.random.sample(PATHS, self.random.randrange(1, 3)):
            tree.pop(path, None)
            if self.random.random() < 0.8:
                tree[path] = self.random.choice(CONTENTS)
        return tree or {"a": CONTENTS[0]}

    async def call(self, what: str, reasons: set[str], work: Awaitable[Any]) -> Any:
        """Does a call; it is refused for one of the reasons, if there are any, and else succeeds."""
        self.log.append(f"{what}: {sorted(reasons) or 'succeeds'}")
        try:
            answer = await work
        except grpc.aio.AioRpcError as error:
            assert read_error(error).reason in reasons, (what, reasons, error.details())
            return None
        assert not reasons, (what, reasons)
        return answer
