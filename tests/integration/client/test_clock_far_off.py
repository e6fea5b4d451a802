"""The machine's clock is years off: logins, pushes, locks and changes of files are as at any other time."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.client import PASSWORD, write

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def _run_dits(folder: Path, environ: dict[str, str], *arguments: str) -> str:
    """Return the output of a command."""
    command = [sys.executable, "-m", "dits_client", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime; on Debian: apt install libfaketime")
@pytest.mark.parametrize("years", ["-8y", "+8y"])
async def test_a_clock_that_is_years_off(logged_in: str, home: Path, years: str) -> None:
    """Where files are, the clock is right: as with a file server."""
    clock = {"FAKETIME": years, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    environ = os.environ | clock | {"LD_PRELOAD": str(LIBRARY), "DITS_PASSWORD": PASSWORD}

    async def run(*arguments: str) -> str:
        return await asyncio.to_thread(_run_dits, folder, environ, *arguments)

    folder = home
    await run("login", "-u", logged_in)
    await run("repo", "create", "film")
    folder = home / "film"
    write(folder, {"a": b"1", "b": b"1"})
    await run("init")
    await run("push")
    assert "Nothing has changed" in await run("status")
    write(folder, {"a": b"2"})
    assert "  changed  a\n" in await run("status")
    assert "locked: a" in await run("lock", "a")
    assert "a  exclusive  you" in await run("locks")
    await run("renew", "a")
    await run("push", "-m", "second")
    await run("unlock", "a")
    await run("lock", "b", "--ttl", "2d")
    (folder / "b").rename(folder / "moved")
    await run("push")
    (moved,) = (json.loads(line) for line in (await run("locks", "--json")).splitlines())
    left = datetime.fromisoformat(moved["expire_time"]) - datetime.now(UTC)
    assert moved["path"] == "moved"
    assert left > timedelta(days=1)
    await run("unlock", "moved")
    assert await run("locks") == ""
    assert "Nothing has changed" in await run("status")
    assert "the server's: set it" in await run("doctor")
