"""What `dits doctor` looks at in a folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dits_client.cli.folder import format_bytes
from dits_client.disk.disks import get_disk
from dits_client.errors import ClientError
from dits_client.workspace.ignore_files import read_rules
from dits_client.workspace.local_directory import OWN_DIRECTORY
from dits_client.workspace.scan import list_paths
from dits_client.workspace.workspace import Workspace
from shared.formats.path_patterns import PathPatterns
from shared.formats.shelves import is_shelf

# Free bytes of a disk below which a warning is due, and files that are looked at.
LEAST_FREE = 1 << 30
MOST_FILES = 200_000
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at: `state` is good, warning or wrong."""

    check: str
    state: str
    text: str
    # What helps; empty = nothing need be done, or the text says it.
    cure: str = ""


def good(check: str, text: str) -> Finding:
    """Return the finding that something is as it should be."""
    return Finding(check, "good", text)


def check_folder(workspace: Workspace) -> Iterator[Finding]:
    """Yield what is to be said of a folder without the server."""
    state, own = workspace.state, workspace.own_directory
    text = f"{workspace.root} follows {state.branch} of {state.repository}"
    if is_shelf(state.branch):
        cure = "`dits switch` with your branch, then `dits unshelve`"
        yield Finding("folder", "warning", text, cure)
    else:
        yield good("folder", text)
    try:
        workspace.check_complete()
    except ClientError as error:
        yield Finding("checkout", "warning", str(error))
    yield from _check_index(workspace)
    yield _check_permissions(own)
    free = shutil.disk_usage(workspace.root).free
    if free < LEAST_FREE:
        text = f"only {format_bytes(free)} are free"
        yield Finding("disk", "warning", text, "make room before the next pull")
    else:
        yield good("disk", f"{format_bytes(free)} are free")


def _check_index(workspace: Workspace) -> Iterator[Finding]:
    with closing(workspace.load_index()) as index:
        if workspace.index_path.exists() and not index.records:
            text = "the index is damaged, or of another version"
            yield Finding(
                "index", "warning", text, "`dits status` reads all files and makes it new"
            )


def _check_permissions(own: Path) -> Finding:
    for path in (own, *sorted(own.iterdir())):
        if not os.access(path, os.R_OK | os.W_OK):
            text, cure = f"{path} cannot be written", f"run `sudo chown -R $USER {own}`"
            return Finding("permissions", "wrong", text, cure if get_disk().keeps_modes else "")
    if not get_disk().keeps_modes:
        return good("permissions", f"{own} can be written")
    if own.stat().st_mode & 0o022:
        text, cure = f"others can change {own}", f"run `chmod go-w {own}`"
        return Finding("permissions", "warning", text, cure)
    return good("permissions", f"only you can change {own}")


def check_files(workspace: Workspace, patterns: list[str]) -> Finding:
    """Return whether files that would need a lock are ignored, so that they are never pushed."""
    rules, needs_lock = read_rules(workspace.root), PathPatterns.parse(patterns)
    ignored = sorted(
        path
        for path in islice(_iterate_files(workspace.root), MOST_FILES)
        if needs_lock.matches(path) and rules.cover(path)
    )
    if not ignored:
        return good("locks", "no file that needs a lock is ignored")
    more = f" and {len(ignored) - MOST_NAMED} more" if len(ignored) > MOST_NAMED else ""
    text = f"{list_paths(ignored[:MOST_NAMED])}{more} would need a lock, and is ignored"
    cure = "unless it was untracked on purpose, change .ditsignore"
    return Finding("locks", "warning", text, cure)


def _iterate_files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name.lower() != OWN_DIRECTORY]
        above = Path(folder).relative_to(root)
        yield from ((above / name).as_posix() for name in names)
