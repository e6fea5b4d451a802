"""How many chunks should stand inline in a manifest? Many middle-sized files, pushed with several limits.

    python -m benchmarks.inline [--files N] [--chunks N] [--limits N,N,...] [--runs N]

For each limit, in turn and so often: a server and a client that are made to keep to it push a folder of
such files, push it again with one file changed, and clone it. The files are cut into chunks of 1 KB, so
that many chunks are pushed and few bytes. Printed are medians of the times of whole commands, and of the
processor time of all processes from the start of the server to its end, which tells more where the machine
has other work; and what the database and the packs hold after both versions.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks import folders
from benchmarks.demo import Dits
from benchmarks.server import running
from shared.postgres.embedded import EmbeddedPostgres

CHUNK_BYTES = 1100
STEPS = ("first push", "one file changed", "clone")
FIGURES = {
    "manifests KB": "SELECT sum(octet_length(content)) / 1000 FROM manifests",
    "chunk rows": "SELECT count(*) FROM chunks",
    "their tables KB": """
        SELECT (pg_total_relation_size('chunks') + pg_total_relation_size('chunk_refs')) / 1000""",
    "packs MB": "SELECT sum(bytes) / 1000000 FROM packs",
}
# Before anything else is imported: the limit, and chunks small enough for many of them.
_PATCH = """
import sys
from shared.formats import profiles, recipes
recipes.MAX_INLINE_CHUNKS = {limit}
profiles.PROFILES = (profiles.Profile(0, 256, 1024, 4096),)
from {module} import main
sys.exit(main())
"""


@dataclass(slots=True)
class Result:
    """What one limit came to: seconds of each run by step, and the figures of the last run."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    processor: list[float] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.inline")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--limits", default="4,8,16,64,1024")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    limits = [int(limit) for limit in arguments.limits.split(",")]
    results = {limit: Result() for limit in limits}
    with tempfile.TemporaryDirectory(prefix="dits-bench-", dir=os.environ.get("BENCH_DIR")) as base:
        source = Path(base, "source")
        _make(source, arguments.files, arguments.chunks * CHUNK_BYTES)
        for _ in range(arguments.runs):
            for limit in limits:
                scratch = Path(base, "scratch")
                scratch.mkdir()
                _measure(results[limit], limit, source, scratch)
                shutil.rmtree(scratch)
    title = (
        f"{arguments.files} files of about {arguments.chunks} chunks; medians of {arguments.runs}"
    )
    Console(width=140).print(_table(results, title))


def _make(folder: Path, files: int, size: int) -> None:
    folder.mkdir()
    rng = random.Random(7)  # noqa: S311  the same files every time
    for number in range(files):
        (folder / f"{number:05}.bin").write_bytes(rng.randbytes(size))


def _measure(result: Result, limit: int, source: Path, scratch: Path) -> None:
    """Pushes two versions and clones the second."""
    work, copy, data = scratch / "work", scratch / "copy", scratch / "data"
    folders.copy_folder(source, work)
    begun = _processor_seconds()
    with running(data, program=_program("services.cli", limit)) as server:
        program = (sys.executable, *_program("dits_client.cli.main", limit))
        dits = Dits(server, scratch / "home", program)
        dits.run(["repo", "create", "bench"])
        dits.run(["init", "--repository", "bench"], work)
        reports = [dits.timed(["push", "-m", "first"], work)]
        changed = work / "00000.bin"
        changed.write_bytes(changed.read_bytes() + b"more")
        reports.append(dits.timed(["push", "-m", "second"], work))
        reports.append(dits.timed(["clone", "bench", str(copy)]))
    result.processor.append(_processor_seconds() - begun)
    if different := folders.compare_folders(work, copy):
        raise SystemExit(f"{different[0]} was cloned wrongly, and {len(different)} in all")
    for step, report in zip(STEPS, reports, strict=True):
        result.seconds[step].append(report["wall"])
    with EmbeddedPostgres(data / "postgres") as postgres:
        result.figures = asyncio.run(_figures(postgres.dsn))


def _processor_seconds() -> float:
    """Returns what all processes took that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _program(module: str, limit: int) -> Sequence[str]:
    return ("-c", _PATCH.format(limit=limit, module=module))


async def _figures(dsn: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        return {name: int(await connection.fetchval(query)) for name, query in FIGURES.items()}
    finally:
        await connection.close()


def _table(results: dict[int, Result], title: str) -> Table:
    table = Table("limit", *(f"{step}, s" for step in STEPS), "CPU, s", *FIGURES, title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for limit, result in results.items():
        series = [*(result.seconds[step] for step in STEPS), result.processor]
        times = [f"{statistics.median(seconds):.2f}" for seconds in series]
        table.add_row(str(limit), *times, *(f"{result.figures[name]:,}" for name in FIGURES))
    return table


if __name__ == "__main__":
    main()
