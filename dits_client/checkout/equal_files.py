"""Large files that are equal to one that is on the disk already: they are copied, not fetched."""

from collections.abc import Iterable, Mapping, Sequence

from dits_client.checkout.new_files import FileTarget
from dits_client.content.manifest import Change, compare_trees
from dits_client.content.scope import EVERYTHING
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.trees import Trees

# A smaller file is fetched as if it were no copy: its chunks come only once, too.
COPIED_BYTES = 1 << 20


def find_equal_files(
    trees: Trees, state: WorkspaceState, upstream: Sequence[Change]
) -> dict[bytes, str]:
    """Return the paths of large files of the folder's commit that have a content to write, by its hash.

    What is itself written is left out. The folder may have other contents there.
    """
    coming = [change for change in upstream if change.new is not None]
    wanted = {new.file.hash for _, _, new in coming if new and new.file.size >= COPIED_BYTES}
    base = bytes.fromhex(state.tree)
    if not wanted or not base:
        return {}
    written = {change.path for change in coming}
    files = compare_trees(trees.load_manifest, None, base, scopes=(EVERYTHING, state.scope))
    return {
        new.file.hash: path
        for path, _, new in files
        if new and new.file.hash in wanted and path not in written
    }


def find_copies(
    files: Iterable[FileTarget], equal: Mapping[bytes, str]
) -> tuple[list[FileTarget], list[tuple[FileTarget, str]]]:
    """Divide files into those to fetch, and large ones that are equal to one of these, or of the folder."""
    first: list[FileTarget] = []
    copies: list[tuple[FileTarget, str]] = []
    paths = dict(equal)
    for target in files:
        is_large = target.file.size >= COPIED_BYTES
        source = paths.setdefault(target.file.hash, target.path) if is_large else target.path
        if source == target.path:
            first.append(target)
        else:
            copies.append((target, source))
    return first, copies
