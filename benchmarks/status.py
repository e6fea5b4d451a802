"""Commands that should answer at once: `dits status` beside `git status`, and starting up.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.status [--files N] [--rounds N]

Files of 50 bytes to 4 KB, 100 in a folder, pushed with dits and committed with Git, each of which keeps an
index of them. Both are asked in turn, with nothing changed and then with one file edited, both warm.
Printed are medians: the seconds of the whole command, and the processor seconds of its process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.demo import Dits
from benchmarks.server import running
from benchmarks.small_files import make_files

_DITS = (sys.executable, "-P", "-m", "dits_client")
_GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.com")
Figures = tuple[float, float]


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.status")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dits-bench-", dir=os.environ.get("BENCH_DIR")) as base:
        found = _measure_all(Path(base), arguments.files, arguments.rounds)
    title = f"{arguments.files:,} files; load {os.getloadavg()[0]:.1f} at the end"
    table = Table("command", "seconds", "processor", title=title)
    for name, figures in found.items():
        seconds, processor = (statistics.median(part) for part in zip(*figures, strict=True))
        table.add_row(name, f"{seconds:.3f}", f"{processor:.3f}")
    Console(width=100).print(table)


def _measure_all(base: Path, files: int, rounds: int) -> dict[str, list[Figures]]:
    work = base / "work"
    make_files(work, files)
    with running(base / "data") as server:
        dits = Dits(server, base / "home", _DITS)
        dits.run(["repo", "create", "bench"])
        dits.run(["init", "--repository", "bench"], work)
        dits.run(["push", "-m", "all"], work)
        _commit(work)
        found = _take_turns(work, dits.environment, rounds, "nothing changed")
        next(work.glob("d*/f*")).write_bytes(b"edited")
        found |= _take_turns(work, dits.environment, rounds, "one edited")
        start = [*_DITS, "--help"]
        found["dits --help"] = [_time(start, work, dits.environment) for _ in range(rounds)]
    return found


def _commit(work: Path) -> None:
    """Commits all with Git, without what dits keeps there."""
    exclude = work / ".git/info/exclude"
    subprocess.run([*_GIT, "init", "-q", "."], cwd=work, check=True)
    exclude.write_text(".dits\n")
    for arguments in (["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*_GIT, *arguments], cwd=work, check=True, capture_output=True)
    # dits has to see no more files than Git does.
    shutil.move(work / ".git", work.parent / "git")
    (work / ".git").write_text(f"gitdir: {work.parent / 'git'}\n")


def _take_turns(
    work: Path, environment: Mapping[str, str], rounds: int, case: str
) -> dict[str, list[Figures]]:
    """Returns the figures of each round but the first, which makes both warm."""
    commands = {
        f"dits status, {case}": (*_DITS, "status"),
        f"git status, {case}": (*_GIT, "status"),
    }
    found: dict[str, list[Figures]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            figures = _time(command, work, environment)
            if turn:
                found[name].append(figures)
    return found


def _time(command: Sequence[str], work: Path, environment: Mapping[str, str]) -> Figures:
    """Returns the seconds of a command, and those of a processor."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed")
    return seconds, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
