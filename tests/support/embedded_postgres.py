"""What the tests of the embedded PostgreSQL share: a process that serves, and eyes on processes."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.postgres import cluster

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
BIN, _ = cluster.find_programs(None)


def closed_above(path: Path) -> Path | None:
    """The first folder on the way to a path, or the path itself, that others may not enter."""
    way = [*reversed(path.parents), path]
    return next((folder for folder in way if not folder.stat().st_mode & 0o001), None)


SERVE = """
import sys
from pathlib import Path
from shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError

server = EmbeddedPostgres(Path(sys.argv[1]), bin_dir=Path(sys.argv[2]))
try:
    print(server.start(), flush=True)
except EmbeddedPostgresError as exc:
    sys.exit(str(exc))
sys.stdin.read()
server.stop()
"""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that only we can enter, for a cluster or two, gone afterwards.

    In memory where there is room: ext4 is slow to create files soon after many were deleted, and
    each cluster has a thousand.
    """
    memory = Path("/dev/shm")  # noqa: S108
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as folder:
        yield Path(folder)


def copy_folder(made: Path, target: Path) -> Path:
    """Copies a data folder, owners and modes included; returns the copy."""
    subprocess.run(["cp", "-a", made, target], check=True)
    return target


def query(dsn: str, statement: str) -> Any:
    """The first value of a statement's result, over a connection of its own."""

    async def ask() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(ask())
    finally:
        loop.close()


@contextmanager
def serving(folder: Path, program: str = SERVE, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """A Python process of its own that serves `folder` until its stdin closes."""
    python, programs = how.pop("python", sys.executable), how.pop("bin_dir", BIN)
    command = [python, "-c", program, str(folder), str(programs)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(BIN.parents[2])))}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=environment,
        **how,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate(timeout=30)


def closed_programs(parent: Path) -> Path:
    """The bin folder of a PostgreSQL that only its owner may use, or even see."""
    subprocess.run(["cp", "-r", BIN.parent, parent], check=True)
    subprocess.run(["chmod", "-R", "go-rwx", parent / BIN.parent.name], check=True)
    return parent / BIN.parent.name / BIN.name


def as_user(uid: int) -> dict[str, Any]:
    """How `serving` runs as this user: their ids, and a Python that they may run."""
    identity = {"user": uid, "group": uid, "extra_groups": []}
    modern = "import sys, shared; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        probe: dict[str, Any] = {**identity, "cwd": ROOT, "capture_output": True}
        try:
            if subprocess.run([python, "-c", modern], check=False, **probe).returncode == 0:
                return {**identity, "python": python}
        except (FileNotFoundError, PermissionError):
            continue
    pytest.skip(f"user {uid} can run no Python >= 3.11 here, or not read the checkout")


def said_dsn(process: subprocess.Popen[str]) -> str:
    """The DSN that a serving process prints once its server is ready."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise AssertionError(process.communicate()[1])
    return line


def refusal(folder: Path, program: str = SERVE, **how: Any) -> str:
    """The sentence with which a process fails to serve `folder`."""
    with serving(folder, program, **how) as process:
        _, sentence = process.communicate(timeout=60)
        assert process.returncode == 1, sentence
        return sentence.strip()


def processes_in(folder: Path) -> list[int]:
    """Every process that works in `folder` or names it on its command line, but the tests' own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = bytes(folder) in (process / "cmdline").read_bytes()
            inside = (process / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if (named or inside) and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


@contextmanager
def expecting_end(pids: list[int], *, within: float) -> Iterator[None]:
    """Demand that these processes are gone `within` seconds after what happens in the block."""
    with ExitStack() as cleanup:
        watches = {}
        for pid in pids:
            with suppress(ProcessLookupError):  # It has ended already.
                watches[pid] = os.pidfd_open(pid)
                cleanup.callback(os.close, watches[pid])
        yield
        for pid, watch in watches.items():
            ended, _, _ = select.select([watch], [], [], within)
            assert ended, f"process {pid} goes on"


def process_status(pid: int) -> Mapping[str, str]:
    """The fields of /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
