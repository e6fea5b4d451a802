"""The steps of a checkout, and the local changes that prevent it. Pure: changes in, steps out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import Change
from dits_client.content.paths import iterate_parents
from dits_client.content.scope import Scope
from dits_client.errors import ClientError
from dits_client.terminal import quote_text
from dits_client.workspace.interrupted import NONE_INTERRUPTED, InterruptedCheckouts
from dits_client.workspace.local_directory import OWN_DIRECTORY
from shared.formats.portable_names import fold_name


@dataclass(slots=True)
class CheckoutPlan:
    """Paths to write and to remove; paths whose local changes would be lost."""

    writes: dict[str, Entry] = field(default_factory=dict)
    removals: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    # Paths with the same change in the folder and upstream.
    same: set[str] = field(default_factory=set)
    # Paths that the commit no longer has, and whose files stay.
    untracked: list[str] = field(default_factory=list)
    # Paths of the user's changes that the folder's commit has: ignored or not, a push takes them.
    tracked: set[str] = field(default_factory=set)
    # Paths of `removals` that the folder is to include no more.
    left: list[str] = field(default_factory=list)
    # Paths where the user's version stays, although the commit brings another.
    edited: list[str] = field(default_factory=list)

    def list_first_removals(self, *, folds_case: bool = False) -> list[str]:
        """Return what to remove before anything is written: a file becomes a directory, or the reverse.

        So what the folder is to include no more, which may free the room that the rest needs.
        With `folds_case`, also what is written under a name that differs by the case of letters alone.
        """
        folded = set(map(fold_name, self.writes)) if folds_case else set()
        needed = {above for path in self.writes for above in iterate_parents(path)}
        needed |= set(self.left)
        return [
            path
            for path in self.removals
            if path in needed
            or any(above in self.writes for above in iterate_parents(path))
            or (folded and fold_name(path) in folded)
        ]

    def add_left_changes(
        self, local: Iterable[Change], before: Scope, after: Scope, *, again: bool
    ) -> None:
        """Add to the conflicts the user's changes of what the folder is to include no more.

        `again`: a checkout was interrupted, which may have removed the files that are missing.
        """
        found = {
            path
            for path, _, new in local
            if before.covers(path) and not after.covers(path)
            if path not in self.removals and not (again and new is None)
        }
        self.conflicts = sorted(found.union(self.conflicts))
        self.left = [path for path in self.removals if not after.covers(path)]


def make_plan(
    upstream: Iterable[Change],
    local: Iterable[Change],
    *,
    force: bool,
    keep: bool = False,
    interrupted: InterruptedCheckouts = NONE_INTERRUPTED,
    is_ignored: Callable[[str], bool] = lambda _: False,
) -> CheckoutPlan:
    """Return the plan for changes upstream and in the folder, both since the same tree.

    Paths that are up to date are not written. With `force` all local changes are overwritten, and missing
    files brought back. What interrupted checkouts left is not a change by the user. A removed path that is
    ignored from now on was untracked: its file stays. With `keep`, local changes stay where both differ.
    """
    here = {change.path: change for change in local}
    coming = {change.path: change for change in upstream}
    result = CheckoutPlan(tracked={path for path, old, _ in here.values() if old is not None})
    for path, old, new in (*coming.values(), *_list_undone(here, coming, interrupted, force)):
        change = here.get(path)
        if (old if change is None else change.new) == new:
            result.same.add(path)
            continue
        if new is None and is_ignored(path):
            result.untracked.append(path)
        elif change is not None and not force and not interrupted.may_have_left(change):
            is_edit = interrupted.may_have_been_edited(path, new)
            (result.edited if keep or is_edit else result.conflicts).append(path)
        elif new is None:
            result.removals.append(path)
        else:
            _check_reserved(path)
            result.writes[path] = new
    if not force:
        # Kept, they would be pushed as changes of the user's.
        result.conflicts += [path for path in here if interrupted.cannot_tell(here[path])]
    _remove_untracked_obstacles(result, here, force)
    _find_obstacles(result, {path: change.new for path, change in here.items()}, force)
    result.conflicts = sorted(set(result.conflicts))
    return result


def _list_undone(
    here: Mapping[str, Change],
    coming: Mapping[str, Change],
    interrupted: InterruptedCheckouts,
    force: bool,
) -> Iterator[Change]:
    """Yield a way back for each local change to undo on a path that did not change upstream."""
    for path, change in here.items():
        is_forced = force and change.old is not None
        if path not in coming and (is_forced or interrupted.are_to_undo(change)):
            yield Change(path, change.old, change.old)


def _remove_untracked_obstacles(
    result: CheckoutPlan, here: Mapping[str, Change], force: bool
) -> None:
    """Let untracked files go where the commit needs their places."""
    needed = {above for path in result.writes for above in iterate_parents(path)}
    for path in list(result.untracked):
        if path in needed or any(above in result.writes for above in iterate_parents(path)):
            result.untracked.remove(path)
            (result.removals if force or path not in here else result.conflicts).append(path)


def _find_obstacles(result: CheckoutPlan, here: dict[str, Entry | None], force: bool) -> None:
    """Add local files where a directory is needed, and files below paths where a file is needed."""
    kept = {path for path, entry in here.items() if entry is not None and path not in result.writes}
    in_the_way = {
        above for path in result.writes for above in iterate_parents(path) if above in kept
    }
    in_the_way |= {
        path for path in kept if any(above in result.writes for above in iterate_parents(path))
    }
    in_the_way -= set(result.removals)
    (result.removals if force else result.conflicts).extend(sorted(in_the_way))


def _check_reserved(path: str) -> None:
    """Raise ClientError for a path that is reserved for the client."""
    if any(part.lower() == OWN_DIRECTORY for part in path.split("/")):
        raise ClientError(
            f"the tree brings {quote_text(path)}, a name that is reserved for the client"
        )
