"""Files that need a lock, and are not locked by the user, are read-only, if the user wants that.

It says before an edit what the server would say after it. The write bits that a file is to have are those
of the commit; that the disk has none is no change of the file.
"""

import json
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dits_client.atomic_file import replace_file
from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError, os_error
from dits_client.progress import Progress
from dits_client.workspace.changes import FolderChanges, open_changes
from dits_client.workspace.drafts import OWNER_WRITES, WRITE_BITS
from dits_client.workspace.index import (
    STAT_BYTES,
    UNKNOWN_STAT,
    pack_stat,
    unpack_size_and_mode,
)
from dits_client.workspace.local_directory import map_disk_names
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.state import is_list
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client
    from dits_client.server.repository import RepositoryClient


@dataclass
class LockRules:
    """What needs a lock in a repository, and which exclusive locks the user has, as the server said."""

    required: bool = False
    # As in a .gitignore; none = all files.
    patterns: list[str] = field(default_factory=list)
    # Paths; those of folders end with a slash.
    held: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, workspace: Workspace) -> "LockRules":
        """Return what was last noted in a folder; nothing needs a lock if nothing was."""
        try:
            found = cls(**json.loads(_get_path(workspace).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return cls()
        return found if is_list(found.patterns) and is_list(found.held) else cls()

    @classmethod
    def fetch(cls, remote: "RepositoryClient") -> "LockRules":
        """Return what the server says. Raises ClientError."""
        from dits.common.v1.lock_type_pb2 import LOCK_TYPE_EXCLUSIVE

        from dits_client.server.locks import list_locks

        info = remote.get_info()
        mine = list_locks(remote, holder="me") if info.lock_required else ()
        held = [lock.path for lock in mine if lock.type == LOCK_TYPE_EXCLUSIVE]
        return cls(info.lock_required, list(info.lock_patterns), held)

    def save(self, workspace: Workspace) -> None:
        """Note it in a folder."""
        replace_file(_get_path(workspace), json.dumps(asdict(self)).encode())

    def forbid(self, path: str) -> bool:
        """Return whether a tracked file needs a lock that the user does not have."""
        if not self.required or (self._matcher is not None and not self._matcher(path)):
            return False
        held = self._held
        return path not in held and not any(f"{above}/" in held for above in iterate_parents(path))

    @cached_property
    def _held(self) -> frozenset[str]:
        return frozenset(self.held)

    @cached_property
    def _matcher(self) -> Callable[[str], bool] | None:
        if not self.patterns:
            return None
        from shared.formats.path_patterns import PathPatterns

        return PathPatterns.parse(self.patterns).matches


class WrongMode(NamedTuple):
    """A file whose write bits are not those that its lock gives it."""

    path: str
    # As the scan found it, packed.
    stat: bytes
    wanted: int


def find_wrong_modes(found: FolderChanges, rules: LockRules) -> Iterator[WrongMode]:
    """Yield the tracked files that are writable without a lock, or read-only with one."""
    for directory in found.snapshot.directories:
        for name, known in zip(directory.names, directory.stats, strict=True):
            mode = unpack_size_and_mode(known)[1]
            if not stat.S_ISREG(mode):
                continue
            path = directory.join_path(name)
            is_forbidden = rules.forbid(path)
            if not (mode & WRITE_BITS if is_forbidden else not mode & OWNER_WRITES):
                continue
            entry = found.tracked.get_entry(path)
            if entry is None or not entry.file.mode & OWNER_WRITES:
                continue
            wanted = stat.S_IMODE(mode) & ~WRITE_BITS if is_forbidden else entry.file.mode
            yield WrongMode(path, known, wanted)


def update_modes(
    workspace: Workspace, remote: "RepositoryClient", progress: Progress | None = None
) -> None:
    """Make files of a folder, whose lock is held, writable or read-only as the user's locks are now.

    Nothing happens where the user does not want it. What fails is a warning: the command has done its work.
    """
    if not workspace.state.lock_readonly or workspace.journal.exists():
        return
    progress = progress or Progress()
    try:
        rules = LockRules.fetch(remote)
        rules.save(workspace)
        apply_rules(workspace, rules, lambda: remote.client, progress)
    except (ClientError, OSError) as error:
        progress.warn(f"not all files are read-only or writable as your locks are: {error}")


def refresh_modes(folder: Path, remote: "RepositoryClient", progress: Progress) -> None:
    """Do so in a folder whose lock is not held, after the user's locks have changed. Raises ClientError."""
    workspace = Workspace.locate(folder)
    if workspace.state.lock_readonly:
        with workspace.lock():
            update_modes(workspace, remote, progress)


def apply_rules(
    workspace: Workspace,
    rules: LockRules,
    connect: "Callable[[], Client]",
    progress: Progress,
) -> None:
    """Make files writable or read-only; those with changes of the user's are never made read-only."""
    with open_changes(workspace, connect, progress) as found:
        changed = {change.path for change in found.changes}
        wrong = [
            item
            for item in find_wrong_modes(found, rules)
            if item.wanted & OWNER_WRITES or item.path not in changed
        ]
        if wrong:
            _set_modes(workspace, found, wrong)
            keep = found.trees.list_manifests(bytes.fromhex(workspace.state.tree))
            workspace.save_index(found.index, keep, recipes=True)


def _set_modes(workspace: Workspace, found: FolderChanges, wrong: Iterable[WrongMode]) -> None:
    """Change modes, and the index with them: nothing has to be read again."""
    names = map_disk_names(found.snapshot.directories)
    with closing(SafePaths(workspace.root, names)) as safe_paths:
        for above, items in groupby(wrong, lambda item: item.path.rpartition("/")[0]):
            record = found.index.records[above]
            places = {name: at for at, name in enumerate(record.names.split("\0"))}
            stats = bytearray(record.stats)
            for path, known, wanted in items:
                now = _set_mode(safe_paths, path, known, wanted)
                at = places[path.rpartition("/")[2]] * STAT_BYTES
                if stats[at : at + STAT_BYTES] == known:
                    stats[at : at + STAT_BYTES] = now
            record.stats = bytes(stats)


def _set_mode(safe_paths: SafePaths, path: str, known: bytes, wanted: int) -> bytes:
    """Change the mode of a file; return its new stat, unknown if the file is not as it was found."""
    above = safe_paths.open_directory(path.rpartition("/")[0])
    try:
        before, after = above.set_mode(safe_paths.get_disk_name(path), wanted)
    except OSError as error:
        raise os_error(error, "change", path) from error
    return pack_stat(after) if pack_stat(before) == known else UNKNOWN_STAT


def _get_path(workspace: Workspace) -> Path:
    return workspace.own_directory / "locks.json"
