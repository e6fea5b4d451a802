"""Locks for the tests of the client: taken and listed by people, and changed while a push runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dits_client.server import locks
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.snapshot import Snapshot
from tests.support.client import Person
from tests.support.waiting import PATIENCE_SECONDS

REPOSITORY = "ada/film"


def remote(person: Person) -> RepositoryClient:
    return RepositoryClient(person.client, REPOSITORY)


async def live_locks(person: Person) -> dict[str, str]:
    """Path and holder of every live lock."""

    def run() -> dict[str, str]:
        return {lock.path: lock.holder for lock in locks.list_locks(remote(person))}

    return await asyncio.to_thread(run)


async def take_locks(person: Person, *paths: str, **options: object) -> None:
    def run() -> None:
        made = locks.LockOptions(**options)  # type: ignore[arg-type]
        list(locks.acquire_locks(remote(person), paths, made))

    await asyncio.to_thread(run)


def at_the_end_of_reading(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], Awaitable[object]]
) -> None:
    """Lets something happen after a push has read the files and before it proposes its commit."""
    real, loop = Snapshot.complete, asyncio.get_running_loop()

    def complete(self: Snapshot, *arguments: Any) -> None:
        real(self, *arguments)
        monkeypatch.undo()
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(work(), PATIENCE_SECONDS), loop).result()

    monkeypatch.setattr(Snapshot, "complete", complete)


async def live_fences(person: Person) -> dict[str, int]:
    def run() -> dict[str, int]:
        return {lock.path: lock.fence for lock in locks.list_locks(remote(person))}

    return await asyncio.to_thread(run)
