"""The embedded PostgreSQL where something goes wrong: killed, full, forbidden, or of another age."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.support.embedded_postgres import (
    AS_ROOT,
    BIN,
    SERVE,
    as_user,
    closed_above,
    closed_programs,
    expecting_end,
    processes_in,
    query,
    refusal,
    said_dsn,
    scratch_folder,
    serving,
)

# A backend that notices nothing: neither a dead client nor a dead postmaster.
BUSY = "DO $$ BEGIN LOOP END LOOP; END $$"

# A container's root: it owns files, but permissions bind the programs that it starts.
WITHOUT_OVERRIDE = f"""
import ctypes
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
{SERVE}
"""


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder with a cluster that is not running."""
    with scratch_folder() as parent:
        with EmbeddedPostgres(parent / "data", durable=False):
            pass
        yield parent / "data"


@pytest.fixture
def scratch() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


@pytest.fixture
def folder(made: Path, scratch: Path) -> Path:
    """A data folder of the test's own, ready to be served."""
    return _copy(made, scratch / "data")


def _copy(made: Path, target: Path) -> Path:
    subprocess.run(["cp", "-a", made, target], check=True)
    return target


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
        folder = _copy(made, Path(parent, "data"))
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


@pytest.mark.parametrize("version", ["14", "99"])
def test_a_cluster_of_another_age_is_left_alone(folder: Path, version: str) -> None:
    (folder / "cluster/PG_VERSION").write_text(f"{version}\n")
    sentence = f"was made by PostgreSQL {version} and cannot be opened by PostgreSQL 1"
    with pytest.raises(EmbeddedPostgresError, match=sentence):
        EmbeddedPostgres(folder).start()
    assert processes_in(folder) == []


def test_a_cluster_without_its_password_is_not_started(folder: Path) -> None:
    (folder / "password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="/password: No such file"):
        EmbeddedPostgres(folder).start()
    assert processes_in(folder) == []


def test_a_wrong_setting_is_told_in_the_words_of_postgres(folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings={"shared_bufers": "1GB"})
    sentence = 'did not start: unrecognized configuration parameter "shared_bufers"'
    with pytest.raises(EmbeddedPostgresError, match=sentence):
        server.start()
    assert server.poll() is None
    with EmbeddedPostgres(folder):
        assert processes_in(folder)


def test_a_folder_that_cannot_be_is_named(scratch: Path) -> None:
    (scratch / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"cannot use .*/file/data: Not a directory"):
        EmbeddedPostgres(scratch / "file/data").start()


@pytest.fixture
def small_disk(scratch: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many MiB."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        disk = scratch / "disk"
        disk.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", disk],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr!r}")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", disk], check=True)


def _fill(ballast: Path) -> None:
    """Let a file grow until its disk is full."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_disk_too_small_leaves_nothing_half_made(small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(24) / "data"
    with pytest.raises(EmbeddedPostgresError, match=r"^No database .*No space left on device\.$"):
        EmbeddedPostgres(folder).start()
    assert {path.name for path in folder.iterdir()} <= {"lock"}


def test_a_full_disk_is_told_and_freeing_it_helps(
    made: Path, small_disk: Callable[[int], Path]
) -> None:
    disk = small_disk(128)
    folder = _copy(made, disk / "data")
    # So that there is no room even for the reason.
    (folder / "postgres.log").unlink()
    ballast = disk / "ballast"
    _fill(ballast)
    with pytest.raises(EmbeddedPostgresError, match="did not start: the disk is full"):
        EmbeddedPostgres(folder).start()
    ballast.unlink()
    with EmbeddedPostgres(folder) as server:
        assert query(server.dsn, "SELECT 1") == 1


@pytest.mark.skipif(not AS_ROOT, reason="only root can be short of capabilities")
def test_a_root_that_cannot_open_doors_names_the_closed_one(made: Path) -> None:
    with tempfile.TemporaryDirectory() as closed:
        _copy(made, Path(closed, "data"))
        sentence = refusal(Path(closed, "data"), WITHOUT_OVERRIDE)
    # The programs come first: a clone made for a test run may itself lie in a closed folder.
    named = closed_above(BIN.resolve()) or closed
    assert sentence.endswith(f"may not use {named}.")


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user cannot become another one")
def test_a_user_without_an_account_is_told_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 54321, 54321)
        sentence = refusal(Path(folder, "data"), **as_user(54321))
    assert sentence.endswith("could not look up effective user ID 54321: user does not exist.")


def test_without_its_programs_it_names_the_way_out(scratch: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"no initdb in .*DITS_DATABASE_URL"):
        EmbeddedPostgres(scratch, bin_dir=scratch).start()
    wheelless = SERVE.replace(", bin_dir=Path(sys.argv[2])", "").replace(
        "import sys", "import sys; sys.modules['embedded_postgres'] = None", 1
    )
    sentence = refusal(scratch, wheelless)
    assert "DITS_DATABASE_URL" in sentence
    assert "\n" not in sentence
