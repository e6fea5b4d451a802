"""Files that other programs have open, where the system keeps them from being replaced or removed."""

import time
from collections.abc import Iterable

from dits_client.disk.disks import get_disk
from dits_client.disk.patience import PAUSES
from dits_client.errors import ClientError
from dits_client.terminal import escape_text
from dits_client.workspace.safe_paths import BlockedError, SafePaths

# The most paths that the sentence names.
LISTED = 20


def check_not_in_use(safe_paths: SafePaths, paths: Iterable[str]) -> None:
    """Raise ClientError, before anything is begun, for files that a program keeps open for some 2 s."""
    if get_disk().replaces_open_files:
        return
    busy = sorted(paths)
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        busy = [path for path in busy if _is_in_use(safe_paths, path)]
        if not busy:
            return
    listed = "".join(f"\n  {escape_text(path)}" for path in busy[:LISTED])
    more = f"\n  and {len(busy) - LISTED} more" if len(busy) > LISTED else ""
    raise ClientError(
        "other programs have files open that are to be replaced or removed (close them there, and run the "
        f"same command again):{listed}{more}"
    )


def _is_in_use(safe_paths: SafePaths, path: str) -> bool:
    try:
        above = safe_paths.open_directory(path.rpartition("/")[0])
        return above.is_in_use(safe_paths.get_disk_name(path))
    except (FileNotFoundError, NotADirectoryError, BlockedError):
        return False
