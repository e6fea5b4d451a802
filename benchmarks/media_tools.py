"""The tools that the media benchmark compares: dits, restic and borg, each in a scratch folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.demo import DITS, Dits
from benchmarks.server import Server, running


@dataclass(slots=True)
class Tool:
    """How to use one tool in a scratch folder."""

    name: str
    push: Callable[[Path], Sequence[str]]
    restore: Callable[[Path], Sequence[str]]
    store: Path
    environment: dict[str, str] = field(default_factory=dict)
    # Run once in the folder; empty = nothing.
    prepare: Sequence[str] = ()
    reports: bool = False
    server: Server | None = None


@contextmanager
def _dits(scratch: Path) -> Iterator[Tool]:
    with running(scratch / "data") as server:
        dits = Dits(server, scratch / "home")
        dits.run(["repo", "create", "bench"])
        yield Tool(
            "dits",
            lambda _: [*DITS, "push", "-m", "version", "--json"],
            lambda target: [*DITS, "clone", "bench", str(target), "--json"],
            scratch / "data" / "chunks",
            dits.environment,
            prepare=(*DITS, "init", "--repository", "bench"),
            reports=True,
            server=server,
        )


@contextmanager
def _restic(scratch: Path) -> Iterator[Tool]:
    environment = {**os.environ, "RESTIC_PASSWORD": "bench", "HOME": str(scratch)}
    restic = ["restic", "-q", "-r", str(scratch / "store")]
    subprocess.run([*restic, "init"], env=environment, check=True, capture_output=True)
    yield Tool(
        "restic",
        lambda _: [*restic, "backup", "."],
        lambda target: [*restic, "restore", "latest", "--target", str(target)],
        scratch / "store",
        environment,
    )


@contextmanager
def _borg(scratch: Path) -> Iterator[Tool]:
    environment = {
        **os.environ,
        "HOME": str(scratch),
        "BORG_REPO": str(scratch / "store"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    subprocess.run(["borg", "init", "-e", "none"], env=environment, check=True, capture_output=True)
    numbers = iter(range(100))
    made: list[str] = []

    def push(_: Path) -> Sequence[str]:
        made.append(f"v{next(numbers)}")
        return ["borg", "create", f"::{made[-1]}", "."]

    yield Tool(
        "borg",
        push,
        lambda _: ["borg", "extract", f"::{made[-1]}"],
        scratch / "store",
        environment,
    )


MAKERS: dict[str, Callable[[Path], AbstractContextManager[Tool]]] = {
    "dits": _dits,
    "restic": _restic,
    "borg": _borg,
}
