"""What is on the disk, and not only in memory, so that it survives a power failure."""

import os
from collections.abc import Callable, Collection

from dits_client.disk.directory import Directory
from dits_client.disk.syncing import sync_descriptor

# So many files are synchronised one by one; of more, all that the file system has to write. That may be of
# other programs, too.
MOST_SINGLE = 16


def sync_files(names: Collection[str], open_name: Callable[[str], int], top: Directory) -> None:
    """Return when files are on the disk; `top` is of their file system.

    `open_name` returns a descriptor, which is closed here. Raises OSError.
    """
    if len(names) > MOST_SINGLE:
        top.sync_file_system()
        return
    for name in names:
        try:
            descriptor = open_name(name)
        except PermissionError:
            # The mode of a file may allow nobody to read it.
            top.sync_file_system()
            return
        try:
            sync_descriptor(descriptor)
        finally:
            os.close(descriptor)


def sync_directories(
    paths: Collection[str], open_path: Callable[[str], Directory], top: Directory
) -> None:
    """Return when the entries of directories are on the disk. Raises OSError."""
    if len(paths) > MOST_SINGLE:
        top.sync_file_system()
        return
    for path in paths:
        open_path(path).sync()
