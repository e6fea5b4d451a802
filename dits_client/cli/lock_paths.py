"""The paths that commands about locks mean: as the tree spells them, and not of what is nowhere."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dits.lock.v1.lock_service_pb2 import Lock

from dits_client.cli.workspace_paths import parse_paths
from dits_client.errors import ClientError
from dits_client.nearest import suggest
from dits_client.terminal import quote_text
from dits_client.workspace.changes import open_trees
from dits_client.workspace.scan import MOST_NAMED
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.unusable import to_stored_name
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client


def find_paths_to_lock(
    workspace: Workspace,
    connect: "Callable[[], Client]",
    given: list[str],
    *,
    new: bool = False,
    directory: bool = False,
) -> list[str]:
    """Return the repository paths of what the user typed; folders end with a slash.

    Raises ClientError for what is neither in the folder nor in its commit, and not said to be to come, and
    for names that trees cannot store.
    """
    with closing(workspace.load_index()) as index:
        trees = open_trees(workspace, index, connect)
        tracked = TrackedPaths(trees.load_manifest, [bytes.fromhex(workspace.state.tree) or None])
        found = [
            _find_path(workspace, tracked, path, new=new, directory=directory)
            for path in parse_paths(workspace, given)
        ]
    return list(dict.fromkeys(found))


def _find_path(
    workspace: Workspace, tracked: TrackedPaths, path: str, *, new: bool, directory: bool
) -> str:
    plain = path.rstrip("/")
    is_here = os.path.lexists(workspace.root / plain)
    spelled, hint = _find_spelling(tracked, plain)
    # Where the disk tells cases apart, a file of the user's may have the name of another one.
    if spelled == plain or (spelled and not is_here) or _is_same(workspace, plain, spelled):
        is_folder = tracked.has_directory(spelled)
        return f"{spelled}/" if is_folder or path.endswith("/") else spelled
    above = ""
    for part in plain.split("/"):
        above = f"{above}/{to_stored_name(above, part)}".removeprefix("/")
    if is_here:
        _check_kind(workspace.root / plain, path)
    if is_here or path.endswith("/"):
        return path
    if new or directory:
        return f"{path}/" if directory else path
    raise ClientError(
        f"there is no {quote_text(path)}{hint} (to come: --new for a file, --directory)"
    )


def _check_kind(place: Path, path: str) -> None:
    """Raise ClientError for a pipe, socket or device, which no commit has."""
    mode = place.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise ClientError(f"{quote_text(path)} is neither a file, a folder nor a link")


def _is_same(workspace: Workspace, one: str, other: str) -> bool:
    try:
        return bool(other) and (workspace.root / one).samefile(workspace.root / other)
    except OSError:
        return False


def _find_spelling(tracked: TrackedPaths, path: str) -> tuple[str, str]:
    """Return the path as the tree has it, whatever the case of its letters; else a hint at the nearest."""
    found = ""
    for part in path.split("/"):
        names = tracked.get_entries(found)
        prefix = f"{found}/" if found else ""
        alike = [name for name in names if name.casefold() == part.casefold()]
        if part not in names and len(alike) != 1:
            return "", suggest(prefix + part, [prefix + name for name in names])
        found = prefix + (part if part in names else alike[0])
    return found, ""


def find_held_paths(workspace: Workspace, given: list[str], held: Iterable[Lock]) -> list[str]:
    """Return the paths of locks that the user means. Raises ClientError for those that are none."""
    paths = {lock.path for lock in held}
    missing, found = [], []
    for path in parse_paths(workspace, given):
        # The folder may be gone from the disk, and nothing else tells that it is one.
        match = next((x for x in (path, path.rstrip("/"), f"{path}/") if x in paths), None)
        if match is None:
            missing.append(quote_text(path) + suggest(path, sorted(paths)))
        else:
            found.append(match)
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise ClientError(f"you hold no lock on {', '.join(missing[:MOST_NAMED])}{more}")
    return list(dict.fromkeys(found))


def iterate_covered(paths: Iterable[str], lock_path: str) -> Iterator[str]:
    """Yield those of some paths that a lock is about."""
    for path in paths:
        if path == lock_path or (lock_path.endswith("/") and path.startswith(lock_path)):
            yield path
