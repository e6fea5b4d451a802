"""kill -9 of any process while a folder is pushed: nothing acknowledged is lost, a repetition works."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks import folders
from benchmarks.demo import DITS, Dits
from benchmarks.server import Server, running
from tests.support.counters import assert_counters

# Packs are small, so that some are stored early in the push.
OPTIONS = ("--pack-bytes", "4000000")


def postmaster(server: Server) -> int:
    """Process id of the embedded PostgreSQL."""
    (file,) = server.data.glob("postgres/**/postmaster.pid")
    return int(file.read_text().split()[0])


def fill(folder: Path) -> None:
    """Some folders of random files, enough for several packs."""
    rng = random.Random(7)
    for n in range(30):
        path = folder / f"shot{n % 6}" / f"frame{n:03}.exr"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(1_000_000 + n))


def wait_for_packs(server: Server, count: int, push: subprocess.Popen[bytes]) -> None:
    """Waits until the server has begun to store chunks."""
    chunks = server.data / "chunks"
    while push.poll() is None:
        if chunks.is_dir() and sum(1 for path in chunks.rglob("*") if path.is_file()) >= count:
            return
    raise AssertionError("the push ended too soon")


def kill(victim: str, server: Server, push: subprocess.Popen[bytes]) -> None:
    pid = {"server": server.pid, "postgres": postmaster(server), "client": push.pid}[victim]
    os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", ["server", "postgres", "client"])
def test_kill_during_a_push(tmp_path: Path, victim: str) -> None:
    work = tmp_path / "work"
    fill(work)
    with running(tmp_path / "data", options=OPTIONS) as server:
        dits = Dits(server, tmp_path / "home")
        dits.run(["repo", "create", "film", "--no-require-lock"])
        dits.run(["init", "--repository", f"{server.username}/film"], cwd=work)
        push = subprocess.Popen(
            [*DITS, "push", "-m", "first"],
            cwd=work,
            env=dits.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_for_packs(server, 3, push)
        kill(victim, server, push)
        if victim == "server":
            assert push.wait(60) == 1
            said = push.communicate()[1].decode()
            assert re.fullmatch(r"dits: [^\n]+\n", said), said
        else:
            push.communicate(timeout=60)
    with running(tmp_path / "data", server.addresses, options=OPTIONS) as again:
        assert again.addresses == server.addresses
        report = dits.timed(["push", "-m", "first"], work)
        assert report["files"] == 30
        dits.run(["clone", f"{server.username}/film", str(tmp_path / "clone")])
        assert folders.compare_folders(work, tmp_path / "clone") == []
        asyncio.run(assert_counters(again.dsn))
