"""What calls of a service and commands of git cost, by the clock and in processor time."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import asyncpg

from benchmarks.history_world import Change, write_fast_import

Result = TypeVar("Result")

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one call or command: by the clock, and of processor time."""

    clock: float
    processor: float


class Meter:
    """Measures calls of the repo service."""

    def __init__(self, pid: int, backends: asyncpg.Connection[asyncpg.Record]) -> None:
        self.pid = pid
        self._backends = backends

    async def measure(self, work: Callable[[], Awaitable[object]]) -> Cost:
        """Returns the cost of one of some runs, the median by the clock, after one that does not count."""
        await work()
        before = await self._read_processor()
        seconds = [(await timed(work))[1] for _ in range(REPEATS)]
        return Cost(median(seconds), (await self._read_processor() - before) / REPEATS)

    async def _read_processor(self) -> float:
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'dits-repo'"
        pids = [self.pid, *(row["pid"] for row in await self._backends.fetch(query))]
        return sum(map(_read_processor, pids))


def _read_processor(pid: int) -> float:
    """Returns the seconds of processor time that a process has used."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in threads) / 1e9


async def timed(work: Callable[[], Awaitable[Result]]) -> tuple[Result, float]:
    """Returns the result and the seconds it took."""
    started = time.perf_counter()
    result = await work()
    return result, time.perf_counter() - started


def show(what: str, cost: Cost, git: Cost | None = None) -> None:
    """Prints one line of the table."""
    line = f"{what:52} {cost.clock * 1000:8.1f} ms {cost.processor * 1000:8.1f} ms of processor"
    if git:
        line += f", {cost.clock / git.clock:6.2f} and {cost.processor / git.processor:6.2f} of git"
    print(line, flush=True)


def import_into_git(changes: Sequence[Change], folder: Path) -> None:
    """Makes the same history a git repository."""
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    process = subprocess.Popen(
        ["git", "-C", str(folder), "fast-import", "--quiet"],
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101
    for block in write_fast_import(changes):
        process.stdin.write(block)
    process.stdin.close()
    if process.wait():
        raise RuntimeError("git fast-import failed")


def run_git(folder: Path, *arguments: str) -> str:
    """Returns what a git command prints."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure_git(folder: Path, *arguments: str) -> Cost:
    """Returns the cost of a git command."""
    seconds = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(REPEATS):
        started = time.perf_counter()
        run_git(folder, *arguments)
        seconds.append(time.perf_counter() - started)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(median(seconds), used / REPEATS)


def read_memory(pid: int) -> float:
    """Returns the resident MiB of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
