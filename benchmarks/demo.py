"""`make demo`: a throw-away server, a real folder, and every byte compared.

    python -m benchmarks.demo [FOLDER]

FOLDER (by default this Python's standard library) is copied, pushed, changed, pushed again and cloned
elsewhere. FOLDER itself is only read; everything else is in a temporary folder and goes with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import folders
from benchmarks.server import Server, running

DITS = (sys.executable, "-P", "-m", "dits_client")  # -P: what lies in the folder is no program


class Dits:
    """The `dits` command against one server."""

    def __init__(self, server: Server, home: Path, program: Sequence[str] = DITS) -> None:
        self._program = program
        self.environment = {
            **os.environ,
            # Who uses dits has it compiled: where the environment says so, each command compiled it again.
            "PYTHONDONTWRITEBYTECODE": "",
            "DITS_CONFIG_DIR": str(home),
            **{f"DITS_{name.upper()}": address for name, address in server.addresses.items()},
        }
        self.run(
            ["login", "--username", server.username, "--password-stdin"], given=server.password
        )

    def run(self, arguments: list[str], cwd: Path | None = None, given: str = "") -> str:
        """Run one command and return its output; a failure ends the program."""
        command = [*self._program, *arguments]
        result = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise SystemExit(f"`dits {' '.join(arguments)}` failed: {result.stderr.strip()}")
        return result.stdout

    def timed(self, arguments: list[str], cwd: Path | None = None) -> dict[str, Any]:
        """Return the JSON report of a command, with the seconds that the process took as `wall`."""
        begun = time.perf_counter()
        report: dict[str, Any] = json.loads(self.run([*arguments, "--json"], cwd))
        return {**report, "wall": time.perf_counter() - begun}


def main() -> None:
    """Run the demo; exit with status 1 if a byte differs."""
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(sysconfig.get_paths()["stdlib"])
    if not given.is_dir():
        raise SystemExit(f"demo: {given} is not a folder")
    try:
        with tempfile.TemporaryDirectory(prefix="dits-demo-") as scratch:
            _demo(given, Path(scratch))
    except PermissionError as error:
        raise SystemExit(f"demo: {error.filename} cannot be read") from error
    except OSError as error:
        raise SystemExit(f"demo: {error.strerror}: {error.filename}") from error


def _demo(given: Path, scratch: Path) -> None:
    work, clone = scratch / "work", scratch / "clone"
    console = Console()
    console.print(f"Copying {given} to {work} …")
    folders.copy_folder(given, work)
    rows: list[tuple[str, dict[str, Any]]] = []
    with running(scratch / "data") as server:
        dits = Dits(server, scratch / "home")
        dits.run(["repo", "create", "demo"])
        dits.run(["init", "--repository", f"{server.username}/demo"], cwd=work)
        rows.append(("push", dits.timed(["push", "-m", "first version"], work)))
        rows.append(("push, unchanged", dits.timed(["push", "-m", "nothing"], work)))
        folders.edit_folder(work)
        rows.append(("push, edited", dits.timed(["push", "-m", "second version"], work)))
        rows.append(("clone", dits.timed(["clone", f"{server.username}/demo", str(clone)])))
        different = folders.compare_folders(work, clone)
    console.print(_table(rows))
    if different:
        raise SystemExit(f"demo: {len(different)} paths differ, {different[0]} for one")
    count = sum(1 for _ in folders.iterate_files(clone))
    console.print(f"The clone equals the edited copy: {count:,} files, every byte compared.")


COLUMNS = (
    ("files", 1, 0),
    ("bytes", 1e6, 1),
    ("chunks", 1, 0),
    ("chunks_sent", 1, 0),
    ("bytes_sent", 1e6, 1),
)


def _table(rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table("step", "files", "MB", "chunks", "sent", "MB sent", "seconds")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, report in rows:
        cells = [
            f"{report[key] / unit:,.{digits}f}" if key in report else ""
            for key, unit, digits in COLUMNS
        ]
        table.add_row(name, *cells, f"{report['wall']:.2f}")
    return table


if __name__ == "__main__":
    main()
