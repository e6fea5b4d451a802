"""The embedded PostgreSQL when its processes are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.postgres.embedded import EmbeddedPostgres
from tests.support.embedded_postgres import (
    BIN,
    closed_programs,
    copy_folder,
    expecting_end,
    processes_in,
    query,
    said_dsn,
    serving,
)

# A backend that notices nothing: neither a dead client nor a dead postmaster.
BUSY = "DO $$ BEGIN LOOP END LOOP; END $$"


@pytest.fixture
def busy() -> Iterator[Callable[[str], None]]:
    """Makes a session that works, and would for ever, on what a DSN leads to."""
    clients: list[subprocess.Popen[bytes]] = []

    def work(dsn: str) -> None:
        clients.append(subprocess.Popen([BIN / "psql", dsn, "-c", BUSY], stderr=subprocess.DEVNULL))
        active = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'"
        )
        while not query(dsn, active):
            pass

    yield work
    for client in clients:
        client.kill()
        client.wait()


@pytest.mark.parametrize("where", ["open", "closed"])
def test_killing_the_parent_ends_the_server_and_loses_nothing(
    made: Path, where: str, busy: Callable[[str], None]
) -> None:
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755 if where == "open" else 0o700)
        folder = copy_folder(made, Path(parent, "data"))
        bin_dir = BIN if where == "open" else closed_programs(Path(parent))
        with serving(folder, bin_dir=bin_dir) as process:
            dsn = said_dsn(process)
            query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
            busy(dsn)
            members = processes_in(folder)
            assert len(members) > 5
            with expecting_end(members, within=5):
                process.kill()
        assert processes_in(folder) == []
        with EmbeddedPostgres(folder) as server:
            assert query(server.dsn, "SELECT answer FROM kept") == 42
        log = (folder / "postgres.log").read_text()
        assert "received fast shutdown request" in log
        assert "was interrupted" not in log


def test_a_start_right_after_the_kill_waits_for_the_old_server(folder: Path) -> None:
    with serving(folder) as process:
        query(said_dsn(process), "CREATE TABLE kept AS SELECT generate_series(1, 200000) AS n")
        process.kill()
        process.wait()
        with EmbeddedPostgres(folder) as server:
            assert query(server.dsn, "SELECT count(*) FROM kept") == 200_000


def test_a_killed_postmaster_is_noticed_and_replaced(
    folder: Path, busy: Callable[[str], None]
) -> None:
    with EmbeddedPostgres(folder) as server:
        query(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        busy(server.dsn)
        dsn, killed = server.dsn, server.pid
        assert server.poll() is None
        assert killed is not None
        with expecting_end([killed], within=5):
            os.kill(killed, signal.SIGKILL)
        assert server.poll() == -signal.SIGKILL
        # The busy backend is still there, and must not keep the cluster from recovering.
        assert len(processes_in(folder)) > 0
        assert server.start() == dsn
        assert query(dsn, "SELECT answer FROM kept") == 42
        assert server.pid != killed
    assert processes_in(folder) == []


def test_killing_parent_and_postmaster_at_once_is_recovered_from(folder: Path) -> None:
    with serving(folder) as process:
        query(said_dsn(process), "CREATE TABLE kept AS SELECT 42 AS answer")
        members = processes_in(folder)
        with expecting_end(members, within=5):
            postmaster = int((folder / "cluster/postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGKILL)
            process.kill()
    with EmbeddedPostgres(folder) as server:
        assert query(server.dsn, "SELECT answer FROM kept") == 42


def test_a_creation_cut_short_leaves_nothing_in_the_way(scratch: Path) -> None:
    folder = scratch / "data"
    with serving(folder) as process:
        while not list(folder.glob("*/pg_wal")):
            assert process.poll() is None
        process.kill()
        while members := processes_in(folder):
            with expecting_end(members, within=5):
                pass
    assert not (folder / "cluster").exists()
    with EmbeddedPostgres(folder) as server:
        assert query(server.dsn, "SELECT 1") == 1
    names = {path.name for path in folder.iterdir()}
    assert names == {"cluster", "lock", "password", "postgres.log"}


@pytest.mark.parametrize("fate", ["living", "zombie"])
def test_a_status_file_that_names_another_process_is_no_obstacle(folder: Path, fate: str) -> None:
    status = folder / "cluster/postmaster.pid"
    with EmbeddedPostgres(folder):
        left = status.read_bytes()
    # Of the server's own user: PostgreSQL itself ignores the pids of others.
    owner = (folder / "cluster").stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=owner) as other:
        if fate == "zombie":
            with expecting_end([other.pid], within=5):
                os.kill(other.pid, signal.SIGKILL)
        status.write_bytes(left.replace(left.split()[0], str(other.pid).encode(), 1))
        with EmbeddedPostgres(folder) as server:
            assert query(server.dsn, "SELECT 1") == 1
        other.kill()
