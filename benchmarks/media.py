"""`make bench`: pushing and restoring a folder, beside restic and borg, in one run.

    python -m benchmarks.media [FOLDER [SECOND_VERSION]] [--runs N]

FOLDER defaults to this Python's standard library; without SECOND_VERSION one is made by editing a copy.
For each tool, in turn and N times: first push, push of the unchanged folder, push of the second version,
restore of the second version into an empty folder. The restored folder is compared byte by byte. restic
and borg, where they are installed, write a local repository; ours is a client and a server with
verification, PostgreSQL and fsync between them. Medians are printed.

ext4 without a journal goes through all files that were deleted in the last minutes for each one that is
made. There, use --keep, which takes room for all runs at once, and wait some minutes after other work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import folders
from benchmarks.media_tools import MAKERS, Tool

STEPS = ("first push", "unchanged", "second version", "restore")
MB = 1_000_000


@dataclass(slots=True)
class Step:
    """One timed command: seconds, peak memory of the largest process, bytes stored after it."""

    seconds: float
    memory: int
    stored: int
    sent: int = 0


def main() -> None:
    """Run the benchmark and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.media")
    parser.add_argument("folder", nargs="?", default=sysconfig.get_paths()["stdlib"], type=Path)
    parser.add_argument("second", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="delete nothing until the end")
    parser.add_argument("--only", help="comma-separated: dits, restic, borg")
    arguments = parser.parse_args()
    for folder in (arguments.folder, arguments.second):
        if folder is not None and not folder.is_dir():
            raise SystemExit(f"benchmarks.media: {folder} is not a folder")
    wanted = arguments.only.split(",") if arguments.only else ["dits", "restic", "borg"]
    makers = {n: m for n, m in MAKERS.items() if n in wanted and (n == "dits" or shutil.which(n))}
    results: dict[str, list[dict[str, Step]]] = {name: [] for name in makers}
    with tempfile.TemporaryDirectory(prefix="dits-bench-", dir=os.environ.get("BENCH_DIR")) as base:
        second = Path(base, "second")
        folders.copy_folder(arguments.second or arguments.folder, second)
        if arguments.second is None:
            folders.edit_folder(second)
        for run in range(arguments.runs):
            for name, maker in makers.items():
                scratch = Path(base, f"{name}-{run}")
                scratch.mkdir()
                with maker(scratch) as tool:
                    results[name].append(_measure(tool, arguments.folder, second, scratch))
                if not arguments.keep:
                    shutil.rmtree(scratch)
        Console(width=140).print(_table(results, arguments.folder, second, arguments.runs))


def _measure(tool: Tool, first: Path, second: Path, scratch: Path) -> dict[str, Step]:
    """Return the four steps with one tool."""
    work, restored = scratch / "work", scratch / "restored"
    folders.copy_folder(first, work)
    if tool.prepare:
        subprocess.run(
            tool.prepare, cwd=work, env=tool.environment, check=True, capture_output=True
        )
    steps = {}
    for step in STEPS[:2]:
        os.sync()
        steps[step] = _run(tool, tool.push(work), work)
    _replace(work, second)
    os.sync()
    steps[STEPS[2]] = _run(tool, tool.push(work), work)
    restored.mkdir()
    os.sync()
    steps[STEPS[3]] = _run(tool, tool.restore(restored), restored)
    different = folders.compare_folders(second, restored)
    if different:
        raise SystemExit(
            f"{tool.name} restored {different[0]} wrongly, and {len(different)} in all"
        )
    return steps


def _replace(work: Path, second: Path) -> None:
    """Replace the first version by the second one; `.dits` stays. Nothing is deleted: see --keep.

    Unchanged files keep their times, as on an artist's disk.
    """
    away = work.with_name("first")
    away.mkdir()
    for entry in work.iterdir():
        if entry.name != ".dits":
            entry.rename(away / entry.name)
    for entry in second.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, work / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, work / entry.name, follow_symlinks=False)


def _run(tool: Tool, command: Sequence[str], cwd: Path) -> Step:
    """Return the step of one command; its time is that of the whole process."""
    # Apart: what dits warns of is no part of its report.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=tool.environment, stdout=output, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (output, errors):
            file.seek(0)
        text, complaint = output.read(), errors.read()
    if process.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed: {complaint or text}")
    sent = json.loads(text).get("bytes_sent", 0) if tool.reports else 0
    memory = usage.ru_maxrss * 1024
    if tool.server is not None:
        memory += _peak(tool.server.pid)
    return Step(seconds, memory, folders.measure_folder(tool.store), sent)


def _peak(pid: int) -> int:
    """Return the peak memory of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _table(
    results: dict[str, list[dict[str, Step]]], first: Path, second: Path, runs: int
) -> Table:
    title = (
        f"{first}: {folders.measure_folder(first) / MB:,.0f} MB, second version "
        f"{folders.measure_folder(second) / MB:,.0f} MB; medians of {runs}; seconds (ratio to the fastest)"
    )
    table = Table("tool", *STEPS, "stored MB", "+ second MB", "sent MB", "peak MB", title=title)
    best = {
        step: min(_median(steps, step) for steps in results.values() if steps) for step in STEPS
    }
    for name, steps in results.items():
        cells = [
            f"{_median(steps, step):.2f} ({_median(steps, step) / best[step]:.2f})"
            for step in STEPS
        ]
        one = steps[-1]
        before, after = one[STEPS[0]].stored, one[STEPS[2]].stored
        sent = one[STEPS[0]].sent
        memory = max(step.memory for run in steps for step in run.values())
        table.add_row(
            name,
            *cells,
            f"{before / MB:,.0f}",
            f"{(after - before) / MB:,.0f}",
            f"{sent / MB:,.0f}" if sent else "",
            f"{memory / MB:,.0f}",
        )
    return table


def _median(runs: list[dict[str, Step]], step: str) -> float:
    return statistics.median(run[step].seconds for run in runs)


if __name__ == "__main__":
    main()
