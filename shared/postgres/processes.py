"""The processes of a PostgreSQL cluster: what they say of themselves, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from shared.postgres.cluster import EmbeddedPostgresError

POLL = 0.01  # seconds, as all limits are
SHUTDOWN_LIMIT = 30
ABORT_LIMIT = 10


def read_status(cluster: Path) -> list[bytes]:
    """What a postmaster tells in its folder: its pid first, its state eighth, once it knows."""
    try:
        lines = (cluster / "postmaster.pid").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [line.strip() for line in lines]


def await_predecessor(name: str) -> None:
    """Wait until the server of a killed parent has shut down, and end what survived it.

    `name` is the cluster_name: it stands in the command line or title of each of its processes, so
    that even a root without the capability to look into /proc/*/cwd finds them.
    """
    patience = time.monotonic() + SHUTDOWN_LIMIT
    while members := _members(name):
        late = time.monotonic() - patience
        if late > ABORT_LIMIT:
            raise EmbeddedPostgresError(f"An earlier server does not end: process {min(members)}.")
        # A backend without a postmaster can only be in the way: it may be busy for hours.
        orphaned = all(title.startswith(b"postgres: ") for title in members.values())
        if orphaned or late > 0:
            how = signal.SIGKILL if late > ABORT_LIMIT / 2 else signal.SIGQUIT
            for pid in members:
                _signal(pid, how)
        time.sleep(POLL)


def forget_predecessor(cluster: Path) -> None:
    """Remove the status file of a dead postmaster before it is taken for that of a living one.

    PostgreSQL looks at the pid alone, which by now may be that of a zombie or, after a reboot, of
    any program. Only what might be a server (a user's own `pg_ctl start`) is left to its check.
    """
    if (status := read_status(cluster)) and _title(Path("/proc", os.fsdecode(status[0]))):
        return
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _members(name: str) -> dict[int, bytes]:
    """The title of every living process of this cluster, whatever started it."""
    titles = {int(path.name): _title(path) for path in Path("/proc").glob("[0-9]*")}
    return {pid: title for pid, title in titles.items() if name.encode() in title}


def _title(process: Path) -> bytes:
    """The command line or title of a process in /proc; empty unless it is a living PostgreSQL."""
    with suppress(FileNotFoundError, ProcessLookupError):  # It may end at any moment.
        if (process / "comm").read_text() == "postgres\n":
            return (process / "cmdline").read_bytes()
    return b""


def _signal(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)
