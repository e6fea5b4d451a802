"""Data folders for tests in which something goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.postgres.embedded import EmbeddedPostgres
from tests.support.embedded_postgres import (
    copy_folder,
    scratch_folder,
)


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data folder with a cluster that is not running."""
    with scratch_folder() as parent:
        with EmbeddedPostgres(parent / "data", durable=False):
            pass
        yield parent / "data"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """An empty folder."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture
def folder(made: Path, scratch: Path) -> Path:
    """A data folder of the test's own, ready to be served."""
    return copy_folder(made, scratch / "data")
