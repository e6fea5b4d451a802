"""People edit, rename, lock, push, pull, switch, merge and shelve, and are killed at it: nothing is lost.

No push changes a file that its person has not touched: it would take back what others have done.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from contextlib import suppress
from pathlib import Path

import pytest
from blake3 import blake3

from dits_client.checkout.include import exclude_paths, include_paths
from dits_client.checkout.merge import MergeOptions, merge_branches
from dits_client.checkout.waiting_files import fetch_paths
from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError, ConflictError
from dits_client.server.repository import RepositoryClient
from dits_client.shelves import list_shelves, shelve_folder, unshelve_folder
from dits_client.workspace.workspace import Workspace
from tests.support import walks
from tests.support.api import Api
from tests.support.client import Person, read
from tests.support.killed_command import run_killed
from tests.support.walks import FILM, contents, list_changes, list_history

PLACES = ["a", "b", "c", "d/a", "d/b", "d/e/f", "e"]


class Walk:
    """The folders of some people, and what must not be lost.

    Attributes:
        pushed: contents of which a push has said that they are in the history.
        told: what was refused, for the reader of a failure.
        touched: paths by person that the next push may change; None = any.
    """

    def __init__(self, people: list[Person], seed: int) -> None:
        self.rng = random.Random(seed)
        self.people = people
        self.pushed: set[bytes] = set()
        self.told: list[str] = []
        self.touched: dict[str, set[str] | None] = {who.account.username: set() for who in people}
        self._numbers = itertools.count()

    async def step(self, kills: bool) -> None:
        """One person does something; what only their folder has must still be there."""
        who = self.rng.choice(self.people)
        work = self.rng.choice(
            [self._edit] * 5 + [self._rename, self._remove]
            + [self._push] * 3 + [self._pull] * 2 + [self._switch] * 3
            + [self._shelve, self._unshelve, self._merge, self._change_scope, self._fetch]
            + [self._lock, self._unlock]
            + [self._kill] * (2 if kills else 0)
        )  # fmt: skip
        is_edit = work in (self._edit, self._rename, self._remove)
        before = contents(who) - self.pushed
        try:
            await work(who)
        except ClientError as error:
            self.told.append(f"{who.account.username} {work.__name__}: {error}")
        if not is_edit:
            await self._check(who, before, work.__name__)

    async def _check(self, who: Person, before: set[bytes], what: str) -> None:
        # A colleague may have taken over what was on its way to a shelf.
        lost = before.difference(self.pushed, *map(contents, self.people))
        if lost:
            # What was killed may have reached the server.
            history = await asyncio.to_thread(list_history, who)
            self.pushed |= {content for content in lost if blake3(content).digest() in history}
        assert lost <= self.pushed, (what, lost - self.pushed, self.told)

    async def _edit(self, who: Person) -> None:
        path = who.home / "work" / self.rng.choice(PLACES)
        self._touch(who, path)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{who.account.username} {next(self._numbers)}".encode())

    async def _rename(self, who: Person) -> None:
        files = list(read(who.home / "work"))
        if files:
            source = who.home / "work" / self.rng.choice(files)
            target = source.with_name(self.rng.choice("abcdef"))
            self._touch(who, source, target)
            with suppress(OSError):
                source.rename(target)

    async def _remove(self, who: Person) -> None:
        files = list(read(who.home / "work"))
        if files:
            path = who.home / "work" / self.rng.choice(files)
            self._touch(who, path)
            path.unlink()

    def _touch(self, who: Person, *paths: Path) -> None:
        touched = self.touched[who.account.username]
        if touched is not None:
            touched |= {str(path.relative_to(who.home / "work")) for path in paths}

    async def _push(self, who: Person) -> None:
        here = contents(who, included=True)
        before = Workspace.locate(who.home / "work").state.head
        report = await who.push("work", message="walk")
        self.pushed |= here
        touched = self.touched[who.account.username]
        if report.pushed and touched is not None:
            changed = await asyncio.to_thread(list_changes, who, before, report.commit)
            # A file gives way to a folder of its name, and the reverse.
            places = touched.union(*(iterate_parents(path) for path in touched))
            strange = {p for p in changed - places if not places & set(iterate_parents(p))}
            assert not strange, (who.account.username, strange, self.told)
        self.touched[who.account.username] = set()

    async def _pull(self, who: Person) -> None:
        await who.pull("work")

    async def _switch(self, who: Person) -> None:
        branch = self.rng.choice(["main", "side", "next"])
        await who.switch("work", branch, create=self.rng.random() < 0.3)

    async def _merge(self, who: Person) -> None:
        source, target = self.rng.sample(["main", "side", "next"], 2)
        side = self.rng.choice(["ours", "theirs"])
        remote = RepositoryClient(who.client, FILM)
        wanted = MergeOptions(source, target, other=side)
        await asyncio.to_thread(merge_branches, remote, wanted)

    async def _shelve(self, who: Person) -> None:
        here = contents(who, included=True)
        shelf = f"{who.account.username}/{next(self._numbers)}"
        await asyncio.to_thread(shelve_folder, who.home / "work", who.client, shelf)
        self.pushed |= here

    async def _unshelve(self, who: Person) -> None:
        def run() -> None:
            shelves = sorted(list_shelves(RepositoryClient(who.client, FILM)))
            if shelves:
                name, _ = self.rng.choice(shelves)
                self.touched[who.account.username] = None
                unshelve_folder(who.home / "work", who.client, name)

        await asyncio.to_thread(run)

    async def _change_scope(self, who: Person) -> None:
        path = self.rng.choice(["a", "b", "d", "d/e", "e"])
        work = self.rng.choice([include_paths, include_paths, exclude_paths])
        await asyncio.to_thread(work, who.home / "work", who.client, [path])

    async def _fetch(self, who: Person) -> None:
        path = self.rng.choice(["c", "d/e"])
        await asyncio.to_thread(fetch_paths, who.home / "work", who.client, [path])

    async def _lock(self, who: Person) -> None:
        await asyncio.to_thread(walks.take_lock, who, self.rng.choice([*PLACES, "d/"]))

    async def _unlock(self, who: Person) -> None:
        await asyncio.to_thread(walks.give_back_locks, who)

    async def _kill(self, who: Person) -> None:
        commands = [["switch", "main"], ["switch", "side"], ["pull"], ["push"], ["shelve"]]
        commands += [["exclude", "d"], ["exclude", "a"], ["include", "d"]]
        where = str(self.rng.randrange(1, 40))
        command = self.rng.choice(commands)
        await run_killed(who.environ, who.home / "work", where, *command, refused=True)

    async def finish(self) -> None:
        """Everyone gets to `main` with what the messages name."""
        for who in self.people:
            await self._unlock(who)
        for who in self.people:
            before = contents(who) - self.pushed
            try:
                await who.switch("work", "main")
            except ConflictError:
                if (await who.status("work")).interrupted:
                    await self._go_back(who)
                with suppress(ClientError):
                    await self._shelve(who)
                await who.switch("work", "main")
            await self._check(who, before, "finish")
            assert not (await who.status("work")).interrupted
            before = contents(who)
            with suppress(ClientError):
                await who.pull("work")
            await self._include_everything(who)
            await who.push("work")
            assert await who.changes("work") == []

    async def _go_back(self, who: Person) -> None:
        """Back to where a broken switch came from; what a broken exclude stumbled over is moved away."""
        branch = (await who.status("work")).branch
        try:
            await who.switch("work", branch)
        except ConflictError as error:
            for path in error.paths:
                with suppress(FileNotFoundError):
                    self.pushed.add((who.home / "work" / path).read_bytes())
                    (who.home / "work" / path).unlink()
            await who.switch("work", branch)

    async def _include_everything(self, who: Person) -> None:
        """What is on the disk and differs from what is included now is moved away, as the message says."""
        try:
            await asyncio.to_thread(include_paths, who.home / "work", who.client, [])
        except ConflictError as error:
            for path in error.paths:
                (who.home / "work" / path).unlink()
            await asyncio.to_thread(include_paths, who.home / "work", who.client, [])


async def walk(api: Api, home: Path, seed: int, steps: int, *, kills: bool) -> None:
    people = [Person(api, await api.account(name), home / name) for name in ("ada", "bob", "eve")]
    try:
        repository = await api.repository(people[0].account, "film")
        for who in people[1:]:
            await api.grant(repository, who.account, "write")
        (home / "ada/work").mkdir()
        (home / "ada" / "work" / "a").write_bytes(b"first")
        await people[0].push("work", FILM)
        remote = RepositoryClient(people[0].client, FILM)
        await asyncio.to_thread(walks.leave_to_fetch, remote, "/c", "/d/e/")
        for who in people[1:]:
            await who.clone(FILM, "work")
        walked = Walk(people, seed)
        walked.pushed |= contents(people[0])
        for _ in range(steps):
            await walked.step(kills)
        await walked.finish()
    finally:
        for who in people:
            who.client.close()


async def test_nothing_is_lost_on_a_walk(api: Api, tmp_path: Path) -> None:
    await walk(api, tmp_path, 4, 40, kills=False)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(int(os.environ.get("SOAK_WALKS", "100"))))
async def test_nothing_is_lost_on_many_walks(api: Api, tmp_path: Path, number: int) -> None:
    seed = int(os.environ.get("SOAK_SEED", "1")) * 1000 + number
    await walk(api, tmp_path, seed, 40, kills=True)
