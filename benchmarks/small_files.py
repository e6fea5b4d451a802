"""Pushes very many very small files, beside restic in the same run: where the time and the bytes go.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.small_files [--files N] [--edited N] [--runs N]
        [--checkout OTHER]

Files of 50 bytes to 4 KB, 100 in a folder, half of them text. In turn and so often: first push, push after
some files in all folders were edited, clone; restic backs up and restores the same folders into a
repository with no server. OTHER is a folder with another state of the code and a `.venv`, which takes a
turn, too. Printed are the seconds of whole commands, the processor seconds of the client, of the server's
processes and of PostgreSQL, and what the database takes for each file; medians.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks import folders
from benchmarks.callers import count_seconds
from benchmarks.demo import Dits
from benchmarks.server import Server, running
from shared.postgres.embedded import EmbeddedPostgres

SMALLEST, LARGEST = 50, 4_096
FOLDER_FILES = 100
STEPS = ("first push", "some edited", "clone")
PARTS = ("seconds", "client", "server", "postgres")
WORDS = "the of a file folder texture mesh shader light camera node edge 0.5 1.0 true false".split()
TABLE_BYTES = """
    SELECT relname, pg_relation_size(oid), pg_total_relation_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 3 DESC LIMIT 6"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one command by the clock, and processor seconds by kind of process."""

    seconds: float
    client: float
    server: float = 0.0
    postgres: float = 0.0


@dataclass(slots=True)
class Result:
    """The costs of each run by step, and the bytes of the largest tables: of the rows, and with indexes."""

    costs: dict[str, list[Cost]] = field(default_factory=lambda: {step: [] for step in STEPS})
    tables: dict[str, tuple[int, int]] = field(default_factory=dict)


def main() -> None:
    """Runs the benchmark and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.small_files")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--edited", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--checkout", type=Path)
    arguments = parser.parse_args()
    tools: dict[str, Callable[[Path, Path, int, Result], None]] = {"dits": _Dits(None)}
    if arguments.checkout:
        tools["other"] = _Dits(arguments.checkout)
    if shutil.which("restic"):
        tools["restic"] = _measure_restic
    results = {name: Result() for name in tools}
    with tempfile.TemporaryDirectory(prefix="dits-bench-", dir=os.environ.get("BENCH_DIR")) as base:
        source = Path(base, "source")
        make_files(source, arguments.files)
        for run in range(arguments.runs):
            for name, measure in tools.items():
                # Deleted only at the end: see benchmarks.media.
                scratch = Path(base, f"{name}-{run}")
                scratch.mkdir()
                measure(source, scratch, arguments.edited, results[name])
    load = os.getloadavg()[0]
    title = f"{arguments.files:,} files, {arguments.edited:,} edited; load {load:.1f} at the end"
    Console(width=140).print(_cost_table(results, title), _table_table(results, arguments.files))


def make_files(folder: Path, count: int) -> None:
    """Makes small files, every other one text, in folders of 100."""
    rng = random.Random(1)  # noqa: S311  the same every time
    for number in range(count):
        place = folder / f"d{number // FOLDER_FILES:04}"
        if number % FOLDER_FILES == 0:
            place.mkdir(parents=True)
        (place / f"f{number:06}.dat").write_bytes(_make_content(rng, number % 2 == 0))


def _make_content(rng: random.Random, is_text: bool) -> bytes:
    size = rng.randint(SMALLEST, LARGEST)
    if not is_text:
        return rng.randbytes(size)
    return (
        " ".join(rng.choices(WORDS, k=size // 2)).encode()[: size - 9]
        + f"{rng.random():.7f}".encode()
    )


def edit_files(folder: Path, count: int) -> None:
    """Edits files in all folders: some bytes are put before what is there."""
    files = list(folders.iterate_files(folder))
    step = max(1, len(files) // count)
    for path in files[::step][:count]:
        path.write_bytes(b"edited " + path.read_bytes())


@dataclass(frozen=True, slots=True)
class _Dits:
    """Measures a client and a server of one state of the code."""

    checkout: Path | None

    def __call__(self, source: Path, scratch: Path, edited: int, result: Result) -> None:
        """Takes all steps once."""
        work, copy, data = scratch / "work", scratch / "copy", scratch / "data"
        folders.copy_folder(source, work)
        with running(data, checkout=self.checkout) as server:
            dits = Dits(server, scratch / "home", self._program())
            dits.run(["repo", "create", "bench"])
            dits.run(["init", "--repository", "bench"], work)
            steps = iter(STEPS)

            def step(*arguments: str) -> None:
                cost = _measure([*self._program(), *arguments], work, dits.environment, server)
                result.costs[next(steps)].append(cost)

            step("push", "-m", "first")
            edit_files(work, edited)
            step("push", "-m", "second")
            step("clone", "bench", str(copy))
        if different := folders.compare_folders(work, copy):
            raise SystemExit(f"{different[0]} was cloned wrongly, and {len(different)} in all")
        with EmbeddedPostgres(data / "postgres") as postgres:
            result.tables = asyncio.run(_measure_tables(postgres.dsn))

    def _program(self) -> Sequence[str]:
        folder = Path(sys.prefix) if self.checkout is None else self.checkout.resolve() / ".venv"
        return (str(folder / "bin/python"), "-P", "-m", "dits_client")


def _measure_restic(source: Path, scratch: Path, edited: int, result: Result) -> None:
    """Takes all steps once with restic."""
    work, copy = scratch / "work", scratch / "copy"
    folders.copy_folder(source, work)
    environment = {**os.environ, "RESTIC_PASSWORD": "bench", "HOME": str(scratch)}
    restic = ["restic", "-q", "-r", str(scratch / "store")]
    subprocess.run([*restic, "init"], env=environment, check=True, capture_output=True)
    result.costs[STEPS[0]].append(_measure([*restic, "backup", "."], work, environment))
    edit_files(work, edited)
    result.costs[STEPS[1]].append(_measure([*restic, "backup", "."], work, environment))
    restore = [*restic, "restore", "latest", "--target", str(copy)]
    result.costs[STEPS[2]].append(_measure(restore, work, environment))


def _measure(
    command: Sequence[str], cwd: Path, environment: dict[str, str], server: Server | None = None
) -> Cost:
    """Runs a command and returns what it cost."""
    os.sync()
    server_before, postgres_before = _read_server(server)
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed")
    server_after, postgres_after = _read_server(server)
    client = usage.ru_utime + usage.ru_stime
    return Cost(seconds, client, server_after - server_before, postgres_after - postgres_before)


def _read_server(server: Server | None) -> tuple[float, float]:
    """Returns the processor seconds of the processes of a server, and of those of its PostgreSQL."""
    seconds = [0.0, 0.0]
    left = [] if server is None else [server.pid]
    while left:
        pid = left.pop()
        try:
            is_postgres = b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
            seconds[is_postgres] += count_seconds(pid, with_ended=is_postgres)
            left += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except FileNotFoundError:
            continue
    return seconds[0], seconds[1]


async def _measure_tables(dsn: str) -> dict[str, tuple[int, int]]:
    connection = await asyncpg.connect(dsn)
    try:
        return {name: (rows, total) for name, rows, total in await connection.fetch(TABLE_BYTES)}
    finally:
        await connection.close()


def _cost_table(results: dict[str, Result], title: str) -> Table:
    table = Table(
        "", *(f"{step}: s" for step in STEPS), "client, server, PostgreSQL: CPU s", title=title
    )
    for name, result in results.items():
        medians = {
            step: [statistics.median(getattr(cost, part) for cost in costs) for part in PARTS]
            for step, costs in result.costs.items()
        }
        processor = [" + ".join(f"{s:.2f}" for s in medians[step][1:]) for step in STEPS]
        table.add_row(name, *(f"{medians[step][0]:.2f}" for step in STEPS), "; ".join(processor))
    return table


def _table_table(results: dict[str, Result], files: int) -> Table:
    table = Table("bytes a file", "table", "rows", "with indexes")
    for name, result in results.items():
        for relation, (rows, total) in result.tables.items():
            table.add_row(name, relation, f"{rows / files:,.0f}", f"{total / files:,.0f}")
    return table


if __name__ == "__main__":
    main()
