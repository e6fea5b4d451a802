"""The steps of a checkout, and the local changes that prevent it. Pure: changes in, steps out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import Change
from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError
from dits_client.workspace.scan import OWN_DIRECTORY


@dataclass(slots=True)
class CheckoutPlan:
    """Paths to write and to remove; paths whose local changes would be lost."""

    writes: dict[str, Entry] = field(default_factory=dict)
    removals: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    # Paths with the same change in the folder and upstream.
    same: set[str] = field(default_factory=set)

    def list_first_removals(self) -> list[str]:
        """Return what to remove before anything is written: a file becomes a directory, or the reverse."""
        needed = {above for path in self.writes for above in iterate_parents(path)}
        return [
            path
            for path in self.removals
            if path in needed or any(above in self.writes for above in iterate_parents(path))
        ]


def make_plan(
    upstream: Iterable[Change], local: Iterable[Change], *, force: bool, again: bool = False
) -> CheckoutPlan:
    """Return the plan for changes upstream and in the folder, both since the same tree.

    Paths that are up to date are not written. With `force` local changes are overwritten. With `again` the
    last checkout was interrupted, so that missing files are not changes by the user.
    """
    here = {change.path: change.new for change in local}
    result = CheckoutPlan()
    for path, old, new in upstream:
        is_here = here.get(path, old)
        if is_here == new:
            result.same.add(path)
            continue
        if path in here and not force and not (is_here is None and again):
            result.conflicts.append(path)
        elif new is None:
            result.removals.append(path)
        else:
            _check_reserved(path)
            result.writes[path] = new
    _find_obstacles(result, here, force)
    result.conflicts = sorted(set(result.conflicts))
    return result


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
        raise ClientError(f'the tree brings "{path}", a name that is reserved for the client')
