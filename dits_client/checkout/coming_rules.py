"""The ignore rules that a checkout brings: a file that they match and that is removed was untracked."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dits_client.content.manifest import Change, parse_entries
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.download import Downloader
from dits_client.transfer.lost_content import LostChunkError
from dits_client.workspace.ignore import IGNORE_FILE, IgnoreRules, read_rules
from dits_client.workspace.trees import Trees

# A longer file of ignore rules is not read.
MAX_IGNORE_BYTES = 1 << 20


def fetch_ignore_test(
    repository: RepositoryClient, trees: Trees, tree: bytes, upstream: Sequence[Change], root: Path
) -> Callable[[str], bool]:
    """Return whether a removed path is ignored in a tree; what the folder just stops to include is not.

    If nobody can get the tree's rules, those count that the folder at `root` has.
    """
    try:
        rules, scope = _fetch_rules(repository, trees, tree, upstream), trees.scope
    except LostChunkError:
        rules, scope = read_rules(root), trees.scope
    return lambda path: scope.covers(path) and rules.cover(path)


def _fetch_rules(
    repository: RepositoryClient, trees: Trees, tree: bytes, upstream: Sequence[Change]
) -> IgnoreRules:
    """Return the ignore rules of a tree; none if nothing is removed."""
    if all(change.new is not None for change in upstream):
        return IgnoreRules("")
    entry = parse_entries(trees.load_manifest(tree)).get(IGNORE_FILE)
    if entry is None or not 0 < entry.file.size <= MAX_IGNORE_BYTES:
        return IgnoreRules("")
    if entry.file.hash in trees.obliterated:
        return IgnoreRules("")
    downloader = Downloader(repository, lambda _: None)
    (chunks,) = downloader.fetch_chunk_lists([entry.file])
    content = b"".join(downloader.fetch_chunks(chunks))
    return IgnoreRules(content.decode(errors="replace"))
