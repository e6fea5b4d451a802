"""What changed in the folder since the commit that it follows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dits_client.content.manifest import Change
from dits_client.progress import Progress
from dits_client.workspace.changes import FolderChanges, open_changes
from dits_client.workspace.drafts import OWNER_WRITES
from dits_client.workspace.interrupted import InterruptedCheckouts
from dits_client.workspace.lock_modes import LockRules, find_wrong_modes
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client


@dataclass(slots=True)
class StatusReport:
    """The paths that differ."""

    repository: str
    branch: str
    # Hexadecimal; empty = no push or pull happened yet.
    commit: str
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    # Files that the next push leaves out; they stay in the folder.
    untracked: list[str] = field(default_factory=list)
    # What is on the disk and not included: the next push leaves it out. Folders end with a slash.
    outside: list[str] = field(default_factory=list)
    # Files that the folder does without: their contents were obliterated, or could not be fetched.
    missing: list[str] = field(default_factory=list)
    # Files that `dits fetch` brings.
    waiting: list[str] = field(default_factory=list)
    # The rules that say what the folder includes, see `Scope`; none = everything.
    included: dict[str, int | None] = field(default_factory=dict)
    # A sentence for each name that cannot be pushed, and the paths on the disk in the same order.
    unusable: list[str] = field(default_factory=list)
    unusable_paths: list[str] = field(default_factory=list)
    # Files that are writable, need a lock, and are not locked by the user, with lock.readonly.
    unlocked: list[str] = field(default_factory=list)
    # The branch that an interrupted clone, pull or switch was to bring; empty = there was none. What it did
    # already is no change.
    interrupted: str = ""


def compare_folder(
    folder: Path, connect: "Callable[[], Client]", progress: Progress | None = None
) -> StatusReport:
    """Return the paths that differ from the commit; `connect` is called only if the index is lost."""
    workspace = Workspace.locate(folder)
    with workspace.lock(only_reads=True):
        state = workspace.state
        report = StatusReport(state.repository, state.branch, state.head)
        report.included = dict(state.included)
        if workspace.journal.exists():
            report.interrupted = workspace.wanted_branch
        untracked = frozenset(state.untracked)
        with open_changes(workspace, connect, progress or Progress()) as found:
            for path, sentence in sorted(found.snapshot.unusable.items()):
                report.unusable.append(sentence)
                report.unusable_paths.append(path)
            report.outside = found.snapshot.outside
            here = {path for path in state.gone if found.is_here(path)}
            here -= state.older.keys() - {change.path for change in found.changes}
            report.missing = sorted(state.gone.keys() - here)
            report.waiting = [path for path in sorted(state.waiting) if not found.is_here(path)]
            if state.lock_readonly:
                wrong = find_wrong_modes(found, LockRules.load(workspace))
                report.unlocked = [x.path for x in wrong if not x.wanted & OWNER_WRITES]
            for change in _leave_out_interrupted(workspace, found):
                paths = report.changed
                if change.old is None:
                    paths = report.new
                elif change.new is None:
                    is_untracked = change.path in untracked
                    paths = report.untracked if is_untracked else report.deleted
                paths.append(change.path)
    return report


def _leave_out_interrupted(workspace: Workspace, found: FolderChanges) -> Iterable[Change]:
    """Return the changes without what an interrupted checkout has done."""
    if not workspace.journal.exists():
        return found.changes
    state = workspace.state
    base = bytes.fromhex(state.tree) or None
    interrupted = InterruptedCheckouts.load(workspace.journal, found.trees, base, state.scope)
    return interrupted.leave_out(found.changes)
