"""What a checkout has to do, and what local changes stand in its way. Pure: trees in, steps out."""

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
    # Changed here in the same way as upstream.
    same: set[str] = field(default_factory=set)

    def list_first_removals(self) -> list[str]:
        """Return what has to go before anything is written: a file becomes a directory, or reverse."""
        needed = {above for path in self.writes for above in iterate_parents(path)}
        return [
            path
            for path in self.removals
            if path in needed or any(above in self.writes for above in iterate_parents(path))
        ]


def make_plan(
    upstream: Iterable[Change], local: Iterable[Change], *, force: bool, again: bool = False
) -> CheckoutPlan:
    """Combine what changed upstream and what changed here, both since the same tree.

    What is here already is not written again. With `force` local changes are overwritten; with `again`
    a checkout was broken off, and files missing here are no changes of the user's.
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
    """Find local files where a directory is needed, and below paths where a file is."""
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
    """Refuse a path that would be taken for the client's own."""
    if any(part.lower() == OWN_DIRECTORY for part in path.split("/")):
        raise ClientError(f'the tree brings "{path}", a name that is reserved for the client')
