"""Servers of a database have one cell, and open what the others seal; one that differs does not start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.admin.server_key import rotate_secrets
from services.chunk.stores.opening import open_known_store
from services.chunk.stores.tiers import adopt_place
from shared.db.pool import Database
from shared.records.deployment import join_deployment
from shared.runtime.config import ConfigError, Settings
from shared.runtime.server_key import ServerKey
from tests.integration.test_server_command import run
from tests.support.api import Api, running_suite

FIRST, SECOND = bytes.fromhex("5e" * 32), bytes.fromhex("a7" * 32)
OLD, NEW = ServerKey(FIRST), ServerKey(SECOND)
OLD_THEN_NEW, NEW_THEN_OLD = ServerKey(FIRST, SECOND), ServerKey(SECOND, FIRST)
REFUSAL = f"seal with the key {OLD.id.hex()}, and this one has {NEW.id.hex()}"


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"cell": 1}, "cell 0, and the settings say cell 1"), ({"server_key": "a7" * 32}, REFUSAL)],
)
async def test_a_server_that_differs_does_not_start(
    api: Api, settings: Settings, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        async with running_suite(api.dsn, settings.model_copy(update=changes)):
            pass
    async with running_suite(api.dsn, settings):
        pass


async def test_a_worker_that_differs_does_not_start(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    await join_deployment(database, 0, OLD)
    told = run("worker", cwd=tmp_path, DITS_DATABASE_URL=dsn, DITS_SERVER_KEY=SECOND.hex())
    assert told.returncode == 1
    assert REFUSAL in told.stderr


async def test_of_two_that_begin_at_once_one_is_noted(database: Database) -> None:
    for first, second in (((0, OLD), (1, OLD)), ((0, OLD), (0, NEW))):
        await database.statement("UPDATE deployment SET cell = NULL, key_id = NULL")
        joining = (join_deployment(database, *each) for each in (first, second))
        results = await asyncio.gather(*joining, return_exceptions=True)
        assert sorted(isinstance(result, ConfigError) for result in results) == [False, True]


async def test_a_store_is_not_opened_for_another_cell(
    database: Database, settings: Settings
) -> None:
    await join_deployment(database, 0, OLD)
    wrong = settings.model_copy(update={"cell": 1})
    for opening in (open_known_store(database, wrong), adopt_place(database, wrong, "local")):
        with pytest.raises(ConfigError, match="that of cell 0"):
            await opening
    assert await database.fetch("SELECT FROM stores") == []


async def test_the_key_is_changed_in_two_steps(database: Database) -> None:
    """As docs/operating.md says, with two processes that are restarted one by one."""
    for key in (
        *(OLD, OLD),
        # The new one is accepted; one that has not been restarted yet may be.
        *(OLD_THEN_NEW, OLD, OLD_THEN_NEW),
        # The two are exchanged; one that is as before may be restarted once more.
        *(NEW_THEN_OLD, OLD_THEN_NEW, NEW_THEN_OLD),
    ):
        await join_deployment(database, 0, key)
    await rotate_secrets(database, NEW_THEN_OLD)
    for _ in range(2):
        await join_deployment(database, 0, NEW)
    with pytest.raises(ConfigError, match="and this one has"):
        await join_deployment(database, 0, OLD)


async def test_no_step_is_left_out(database: Database) -> None:
    await join_deployment(database, 0, OLD)
    with pytest.raises(ConfigError, match=REFUSAL):
        await join_deployment(database, 0, NEW)
    await join_deployment(database, 0, NEW_THEN_OLD)
    # A process that was forgotten, and does not know the new key.
    with pytest.raises(ConfigError, match="DITS_ACCEPTED_SERVER_KEY"):
        await join_deployment(database, 0, OLD)
    await join_deployment(database, 0, OLD_THEN_NEW)
    # It seals with the old one.
    with pytest.raises(ConfigError, match=REFUSAL):
        await join_deployment(database, 0, NEW)


async def test_a_lost_key_is_given_up(database: Database, dsn: str, tmp_path: Path) -> None:
    await join_deployment(database, 0, OLD)
    environment = {"DITS_DATABASE_URL": dsn, "DITS_SERVER_KEY": SECOND.hex()}
    for command in (["rotate-server-key"], ["create-user", "ada", "ada@example.com"]):
        told = run("admin", *command, cwd=tmp_path, **environment)
        assert told.returncode == 1
        assert REFUSAL in told.stderr
    told = run("admin", "rotate-server-key", "--lost", cwd=tmp_path, **environment)
    assert told.returncode == 0, told.stderr
    assert told.stdout.endswith(f"The key is {NEW.id.hex()}.\n")
    await join_deployment(database, 0, NEW)
