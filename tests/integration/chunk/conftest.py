"""Stores that nobody has used, and the database whose they become."""

from __future__ import annotations

import itertools

import pytest

from shared.db.pool import Database, Databases
from shared.runtime.config import Settings
from tests.support.s3_server import S3Server

_numbers = itertools.count(1)


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings with a store that nobody has used."""
    if request.param == "local":
        return settings
    server: S3Server = request.getfixturevalue("s3_server")
    return settings.model_copy(update={"store": server.url(f"places/{next(_numbers)}")})


@pytest.fixture
def database(databases: Databases) -> Database:
    (database,) = databases.every()
    return database
