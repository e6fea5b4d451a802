"""The embedded PostgreSQL where all goes well: as root, as anybody, and next to others."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.support.embedded_postgres import (
    AS_ROOT,
    BIN,
    as_user,
    closed_above,
    process_status,
    processes_in,
    query,
    refusal,
    said_dsn,
    scratch_folder,
    serving,
)

CAP_DAC_READ_SEARCH = 2

DAC_READ_SEARCH = 1 << 2


@pytest.fixture
def scratch() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can enter."""
    with scratch_folder() as folder:
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(
        open_folder / "data", durable=False, settings={"work_mem": "7MB"}
    ) as server:
        yield server


def test_it_serves_a_utf8_database_with_checksums(server: EmbeddedPostgres) -> None:
    assert query(server.dsn, "SELECT current_database()") == "dits"
    assert query(server.dsn, "SHOW server_encoding") == "UTF8"
    assert query(server.dsn, "SHOW data_checksums") == "on"
    assert query(server.dsn, "SHOW TimeZone") == "UTC"
    assert query(server.dsn, "SELECT lower('É') || ('Z' < 'a')") == "étrue"


@pytest.mark.parametrize("extension", ["btree_gist", "pg_trgm"])
def test_the_extensions_of_the_schema_are_there(server: EmbeddedPostgres, extension: str) -> None:
    available = "SELECT count(*) FROM pg_available_extensions WHERE name = "
    assert query(server.dsn, f"{available}'{extension}'") == 1


def test_settings_of_the_caller_win_and_tests_skip_the_disk(server: EmbeddedPostgres) -> None:
    assert query(server.dsn, "SHOW work_mem") == "7MB"
    assert query(server.dsn, "SHOW fsync") == "off"


def test_only_the_password_opens_it_and_only_from_this_machine(server: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(server.dsn.replace("dits:", "dits:x"), "SELECT 1")
    assert query(server.dsn, "SHOW listen_addresses") == "127.0.0.1"
    assert query(server.dsn, "SHOW unix_socket_directories") == ""
    weaker = "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'"
    assert query(server.dsn, weaker) == 0


def test_nobody_else_can_read_the_data(server: EmbeddedPostgres, open_folder: Path) -> None:
    for name, mode in (("cluster", 0o700), ("password", 0o600), ("postgres.log", 0o600)):
        assert stat.S_IMODE((open_folder / "data" / name).stat().st_mode) == mode


@pytest.mark.skipif(not AS_ROOT, reason="drops privileges only when there are any")
def test_root_runs_it_as_nobody_without_capabilities(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    status = process_status(server.pid)
    assert set(status["Uid"].split()) == {str(pwd.getpwnam("nobody").pw_uid)}
    assert status["Groups"] == ""
    # Below a closed folder, such as that of a clone made for a test run, it may read, and nothing else.
    expected = 0 if closed_above(BIN.resolve()) is None else 1 << CAP_DAC_READ_SEARCH
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == expected


def test_it_inherits_nothing_of_our_environment(server: EmbeddedPostgres) -> None:
    environment = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0] for entry in environment if entry}
    assert b"LC_ALL" in names
    # PG_GRANDPARENT_PID and the like are PostgreSQL's own.
    assert not {name for name in names if name.startswith((b"DITS", b"PYTEST", b"HOME"))}


def test_a_running_folder_is_refused_here_and_elsewhere(
    server: EmbeddedPostgres, open_folder: Path
) -> None:
    with pytest.raises(EmbeddedPostgresError, match="is running already"):
        server.start()
    with pytest.raises(EmbeddedPostgresError, match=f"is in use by process {os.getpid()}"):
        EmbeddedPostgres(open_folder / "data").start()
    assert refusal(open_folder / "data") == (
        f"The database in {open_folder / 'data'} is in use by process {os.getpid()}."
    )
    assert query(server.dsn, "SELECT 1") == 1


def test_two_folders_are_served_side_by_side(server: EmbeddedPostgres, scratch: Path) -> None:
    with EmbeddedPostgres(scratch / "other", durable=False) as other:
        query(other.dsn, "CREATE TABLE only_here ()")
        assert query(server.dsn, "SELECT to_regclass('only_here')") is None


def test_rows_survive_and_a_lost_port_is_replaced(scratch: Path) -> None:
    server = EmbeddedPostgres(scratch / "data")
    dsn = server.start()
    query(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    server.stop()
    assert processes_in(scratch) == []
    assert server.pid is None

    assert server.start() == dsn
    server.stop()
    with socket.create_server(("127.0.0.1", urlsplit(dsn).port or 0)), server:
        assert server.dsn != dsn
        assert query(server.dsn, "SELECT answer FROM kept") == 42


@pytest.mark.skipif(not AS_ROOT, reason="only root has folders that nobody may enter")
def test_closed_parent_folders_stay_closed_and_work(scratch: Path) -> None:
    closed = scratch / "closed"
    closed.mkdir(0o700)
    (closed / "neighbour").mkdir(0o750)
    watched = [closed / "neighbour", closed, *closed.parents, BIN, *BIN.parents]
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in watched]
    with EmbeddedPostgres(closed / "data", durable=False) as server:
        assert query(server.dsn, "SELECT 1") == 1
        assert server.pid is not None
        assert int(process_status(server.pid)["CapEff"], 16) == DAC_READ_SEARCH
    after = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in watched]
    assert after == before


@pytest.mark.skipif(not AS_ROOT, reason="the other tests are run by an ordinary user already")
def test_an_ordinary_user_serves_a_folder_of_their_own(open_folder: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    folder = open_folder / "daemon"
    folder.mkdir()
    os.chown(folder, daemon.pw_uid, daemon.pw_gid)
    with serving(folder, **as_user(daemon.pw_uid)) as process:
        assert query(said_dsn(process), "SELECT 1") == 1
        assert (folder / "cluster").stat().st_uid == daemon.pw_uid
    assert process.returncode == 0
    assert processes_in(folder) == []


def test_it_is_started_from_the_main_thread_only(scratch: Path) -> None:
    told: list[str] = []

    def start() -> None:
        with pytest.raises(EmbeddedPostgresError) as failure:
            EmbeddedPostgres(scratch).start()
        told.append(str(failure.value))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in told[0]
    assert list(scratch.iterdir()) == []
