"""Finds the embedded PostgreSQL that another process runs."""

from __future__ import annotations

from pathlib import Path

from shared.postgres import cluster, processes


def find_running(folder: Path) -> str | None:
    """Returns the DSN of the database in a folder, if some `dits-server` serves it now."""
    status = processes.read_status(folder / "cluster")
    if status[7:] != [b"ready"]:
        return None
    password = (folder / "password").read_text()
    where = f"127.0.0.1:{int(status[3])}/{cluster.DATABASE}?sslmode=disable"
    return f"postgresql://{cluster.SUPERUSER}:{password}@{where}"
