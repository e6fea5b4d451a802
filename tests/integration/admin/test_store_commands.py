"""`dits-server store`."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from services.admin.stores import check_store
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.opening import open_known_store
from services.chunk.stores.tiers import adopt_place
from services.cli import _parser
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from tests.integration.test_server_command import run
from tests.support.s3_server import S3Server

Result = TypeVar("Result")


async def test_a_store_that_works(
    database: Database, settings: Settings, s3_server: S3Server
) -> None:
    on_s3 = settings.model_copy(update={"store": s3_server.url("check"), "region": "far"})
    for each in (settings, on_s3):
        store = await open_known_store(database, each)
        works, holds, clock = await check_store(store, each.cell)
        assert works.startswith("works  an object written, read, listed and deleted in ")
        assert holds == "holds  0 objects of cell 0"
        assert abs(int(clock.split()[1])) <= 60
    assert s3_server.names("check") == ["dits-owner-0", "dits-store"]


class Mangled(LocalStore):
    """A store whose bytes are wrong."""

    async def read_ranges(
        self,
        _key: str,
        _ranges: object,
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """Gives other bytes."""
        return use([memoryview(b"wrong"), memoryview(b"wrong")])


async def test_a_store_that_does_not_work(tmp_path: Path) -> None:
    store = Mangled(tmp_path, "here", "here")
    await store.create("5f2f4f5e-0000-4000-8000-000000000001")
    with pytest.raises(ConfigError, match="other bytes than those that were written"):
        await check_store(store, 0)
    assert [key async for keys in store.list_objects(0) for key in keys] == []
    (tmp_path / "dits-store").unlink()
    with pytest.raises(DomainError):
        await check_store(store, 0)


async def test_the_commands(
    dsn: str, database: Database, settings: Settings, tmp_path: Path
) -> None:
    environment = {
        "DITS_DATABASE_URL": dsn,
        "DITS_DATA_DIR": str(settings.data_dir),
        "DITS_SERVER_KEY": settings.server_key or "",
    }
    await open_known_store(database, settings)
    # The disk is gone for good, and there is a new one.
    shutil.rmtree(settings.data_dir)
    told = run("store", "adopt", cwd=tmp_path, **environment)
    assert told.returncode == 1
    where = settings.data_dir / "chunks" / settings.region
    assert f"There is no directory {where}: make it" in told.stderr
    where.mkdir(parents=True)
    told = run("store", "adopt", cwd=tmp_path, **environment)
    assert told.returncode == 0, told.stderr
    store_id = told.stdout.split()[2]
    told = run("store", "check", cwd=tmp_path, **environment)
    assert told.returncode == 0, told.stderr
    assert f"id     {store_id}, as in the database" in told.stdout
    # One that is away is named, and keeps no other from being checked.
    stores = {name: str(tmp_path / name) for name in ("away", "far")}
    environment["DITS_STORES"] = json.dumps(stores)
    assert run("store", "check", cwd=tmp_path, **environment).returncode == 0
    # The region that is emptied is not that of the server.
    await database.statement(
        "INSERT INTO packs (key, bucket, region, state) VALUES ('0/ab', 'local', 'local', 'open')"
    )
    told = run("store", "evacuate", "far", "--to", "away", cwd=tmp_path, **environment)
    assert told.returncode == 0, told.stderr
    assert "far is empty" in told.stdout
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    told = run("store", "check", cwd=tmp_path, **environment)
    assert told.returncode == 1
    assert "away cannot be used:" in told.stderr
    assert told.stderr.count("\nworks  ") == 2
    assert told.stderr.count("\nfails  ") == 1


def test_no_argument_of_a_command_changes_a_setting() -> None:
    def list_arguments(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, str]]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for inner, command in action.choices.items():
                    yield from list_arguments(command, f"{name} {inner}")
            elif not any(option.startswith("--") for option in action.option_strings):
                yield name, action.dest

    arguments = list(list_arguments(_parser(), "dits-server"))
    assert ("dits-server store adopt", "place") in arguments
    assert [each for each in arguments if each[1] in Settings.model_fields] == []


async def test_what_cannot_be_adopted(
    database: Database, settings: Settings, s3_server: S3Server
) -> None:
    known = await open_known_store(database, settings)
    url = s3_server.url("adopt", bucket="no-such-bucket")
    with pytest.raises(ConfigError, match="cannot be used"):
        await adopt_place(database, settings.model_copy(update={"store": url}), "local")
    for place, why in (("far", "no region far"), ("local.glacier", "no tier local.glacier")):
        with pytest.raises(ConfigError, match=why):
            await adopt_place(database, settings, place)
    assert (await open_known_store(database, settings)).expected_id == known.expected_id
