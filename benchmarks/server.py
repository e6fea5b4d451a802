"""A throw-away server in processes of its own, for the demo and the benchmarks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.runtime.config import SERVICES


@dataclass(frozen=True, slots=True)
class Server:
    """A running `dits-server up`.

    Attributes:
        pid: of the server process.
        addresses: host:port of auth, repo, chunk and lock.
        username: of its first account.
        password: of that account.
        data: its data folder.
    """

    pid: int
    addresses: dict[str, str]
    username: str
    password: str
    data: Path

    @property
    def dsn(self) -> str:
        """Where its embedded PostgreSQL listens."""
        (file,) = self.data.glob("postgres/**/postmaster.pid")
        port = file.read_text().splitlines()[3]
        (password,) = self.data.glob("postgres/**/password")
        secret = password.read_text().strip()
        return f"postgresql://dits:{secret}@127.0.0.1:{port}/dits?sslmode=disable"


@contextmanager
def running(
    data: Path,
    addresses: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "services.cli"),
    checkout: Path | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Runs `dits-server up` with its data in `data`, and stops it.

    It listens on free ports, or where a server listened before: `addresses`. `program` is what Python
    is given to run. `checkout` is a folder with another state of the code and a `.venv`, to be run instead.
    `options` are those of the settings.
    """
    python = sys.executable if checkout is None else str(checkout.resolve() / ".venv/bin/python")
    command = [python, *program, "up", "--data-dir", str(data), *options]
    for service in SERVICES:
        port = (addresses or {}).get(service, ":0").rpartition(":")[2]
        command += [f"--{service}-port", port]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DITS_")}
    with (
        (data.parent / "server.log").open("w+") as log,
        subprocess.Popen(
            [*command, "--log-level", "warning"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            cwd=checkout,
        ) as process,
    ):
        try:
            yield _greeting(process, data, Path(log.name))
        finally:
            process.terminate()
            process.wait(timeout=60)
            assert process.stdout is not None  # noqa: S101  a pipe was asked for
            process.stdout.close()


def _greeting(process: subprocess.Popen[str], data: Path, log: Path) -> Server:
    """Reads where the services are from what the server prints when it is ready."""
    addresses: dict[str, str] = {}
    username = ""
    assert process.stdout is not None  # noqa: S101  a pipe was asked for
    for line in process.stdout:
        if match := re.fullmatch(r"  (auth|repo|chunk|lock)\s+(\S+:\d+)\n", line):
            addresses[match[1]] = match[2]
        elif match := re.match(r"A first account is open: (\S+);", line):
            username = match[1]
        elif line.startswith("Ctrl-C"):
            file = data / "first-account"
            password = file.read_text().strip() if file.exists() else ""
            return Server(process.pid, addresses, username, password, data)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


def find_workers(pid: int) -> list[int]:
    """Returns the ids of the workers of a server."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"\0worker\0" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
