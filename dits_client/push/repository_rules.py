"""What the repository or the server would refuse: found before anything is read or sent."""

import os
from collections import defaultdict
from collections.abc import Iterable

from dits.chunk.v1.chunk_service_pb2 import TreeLimits

from dits_client.content.chunking import choose_profile
from dits_client.content.manifest import Change
from dits_client.errors import ClientError
from dits_client.terminal import quote_text
from dits_client.workspace.index import DIRECTORY_STAT, unpack_size_and_mode
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.unusable import join_sentences
from shared.formats.portable_names import find_name_problem, find_twin


def check_limits(snapshot: Snapshot, limits: TreeLimits) -> None:
    """Raise ClientError if the folder, or a file of it, is larger than the server takes."""
    count = sum(len(directory.names) for directory in snapshot.directories)
    if 0 < limits.max_tree_entries < count:
        raise ClientError(
            f"the folder has {count:,} files and folders: the server takes {limits.max_tree_entries:,}"
        )
    if not limits.max_file_chunks:
        return
    for directory in snapshot.directories:
        for name, found in zip(directory.names, directory.stats, strict=True):
            if found == DIRECTORY_STAT:
                continue
            size, _ = unpack_size_and_mode(found)
            # No chunk is larger, so there will be at least so many.
            if size > limits.max_file_chunks * choose_profile(size).max_bytes:
                path = directory.join_path(name)
                raise ClientError(
                    f"{quote_text(path)} is too large: the server takes files of "
                    f"{limits.max_file_chunks:,} chunks"
                )


def find_refused_names(
    snapshot: Snapshot, changes: Iterable[Change], tracked: TrackedPaths
) -> dict[str, str]:
    """Return sentences, by path, for new names that a repository with portable names refuses.

    Raises ClientError, all in one message, for changes of what the folder's commit has under such a name,
    or under that of a twin that is not on the disk: left out, it would be deleted.
    """
    refused: dict[str, str] = {}
    for path, names in _list_written(changes).items():
        directory = snapshot.directories_by_path[path]
        for name in names:
            if problem := find_name_problem(name):
                inner = directory.join_path(name)
                refused[inner] = f"the name {quote_text(inner)} {problem}: rename it"
        left = list(directory.names)
        while twin := find_twin(left, names):
            paths = {name: directory.join_path(name) for name in twin}
            # A folder of which a part waits, or is not included, may have been renamed by a letter's case.
            are_here = all(os.path.lexists(directory.join_os_path(name)) for name in twin)
            sentence = _describe_twins(*paths.values(), are_here=are_here)
            new = [name for name in twin if are_here and not _has(tracked, paths[name])] or twin
            refused |= {paths[name]: sentence for name in new}
            left = [name for name in left if name not in new]
    if found := [sentence for path, sentence in refused.items() if _has(tracked, path)]:
        raise ClientError(f"nothing was pushed:{join_sentences(set(found))}")
    return refused


def _has(tracked: TrackedPaths, path: str) -> bool:
    return tracked.has_file(path) or tracked.has_directory(path)


def _describe_twins(*paths: str, are_here: bool) -> str:
    """Return a sentence about two names; what waits, or is not included, is not on the disk."""
    one, other = map(quote_text, paths)
    text = f"the names {one} and {other} differ by the case of letters alone: rename one of them"
    return text if are_here else f"{text}; what is not here comes by `dits fetch` or `dits include`"


def _list_written(changes: Iterable[Change]) -> dict[str, set[str]]:
    """Return by directory the names of what changes write, and of the directories around it."""
    written: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        path = change.path if change.new is not None else ""
        while path:
            parent, _, name = path.rpartition("/")
            if name in written[parent]:
                break
            written[parent].add(name)
            path = parent
    return written
