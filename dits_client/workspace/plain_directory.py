"""Directories of which nothing is special: they are read in a few passes, a third quicker for each file."""

import stat
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, repeat
from operator import attrgetter, not_
from typing import TypeAlias

from dits_client.disk.directory import DirectoryEntry
from dits_client.workspace.index import pack_stats
from dits_client.workspace.local_directory import OWN_DIRECTORY, LocalDirectory
from dits_client.workspace.unusable import need_no_look

# Names, each with whether it is a directory.
Entries: TypeAlias = Iterable[tuple[str, bool]]

_get_mode = attrgetter("st_mode")
_STORED_KINDS = {stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR}


def read_plain(
    directory: LocalDirectory,
    entries: Sequence[DirectoryEntry],
    is_ignored_within: Callable[[LocalDirectory, Entries], bool],
) -> bool:
    """Add sorted entries to a directory if it is plain; return whether it is. Else nothing is added.

    Plain is one of files, directories and links alone, all of them included and none ignored, with names in
    ASCII that need no look. Raises OSError, but not for a file that vanishes.
    """
    if directory.is_ignored or directory.is_partial:
        return False
    names = [entry.name for entry in entries]
    joined = "".join(names)
    if not need_no_look(joined) or OWN_DIRECTORY in joined.lower():
        return False
    try:
        stats = [entry.stat(follow_symlinks=False) for entry in entries]
    except FileNotFoundError:
        return False
    kinds = set(map(stat.S_IFMT, map(_get_mode, stats)))
    inner: Sequence[bool] = ()
    if stat.S_IFDIR in kinds:
        inner = list(map(stat.S_ISDIR, map(_get_mode, stats)))
    found = zip(names, inner or repeat(False), strict=False)
    if not kinds <= _STORED_KINDS or is_ignored_within(directory, found):
        return False
    if inner:
        for entry in compress(entries, inner):
            path = directory.join_path(entry.name)
            directory.directories[entry.name] = LocalDirectory(
                path, f"{directory.os_path}/{entry.name}"
            )
        outer = list(map(not_, inner))
        names, stats = list(compress(names, outer)), list(compress(stats, outer))
    directory.names, directory.stats = names, pack_stats(stats)
    return True
