"""A `dits` command as a process of its own that is killed at one of its changes to the disk.

    python -m tests.support.killed_command DISK WHERE ARGUMENTS…

DISK is the class by which the client touches files. WHERE is the number of the change, or a text that the
first such change has in its arguments.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dits_client.cli.main import main
from dits_client.disk import disks
from dits_client.disk.descriptors import DescriptorDisk
from dits_client.disk.disks import get_disk
from dits_client.disk.paths import PathDisk

CHANGES = {
    "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.chmod", "os.utime",
}  # fmt: skip


def kill_at(where: str) -> None:
    """Kills this process before the change that `where` names."""
    left = int(where) if where.isdigit() else 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR)) and "pycache" not in str(path)
        else:
            changes = event in CHANGES
        if not changes:
            return
        left -= 1
        if left == 0 or (left < 0 and not where.isdigit() and where in repr(arguments)):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


async def run_killed(
    environ: dict[str, str], folder: Path, where: str, *arguments: str, refused: bool = False
) -> bool:
    """Runs a command in a folder, which may be `refused`; whether it was killed before its end."""
    disk = type(get_disk()).__name__
    command = [sys.executable, "-m", "tests.support.killed_command", disk, where, *arguments]
    path = str(Path(__file__).parents[2])
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=folder,
        env=os.environ | environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, int(refused), -signal.SIGKILL), done.stderr
    return done.returncode == -signal.SIGKILL


if __name__ == "__main__":
    disks.CURRENT = {"DescriptorDisk": DescriptorDisk, "PathDisk": PathDisk}[sys.argv[1]]()
    kill_at(sys.argv[2])
    sys.exit(main(sys.argv[3:]))
