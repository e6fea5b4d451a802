"""The index after a checkout: the records of a tree, and the stats of its files."""

from collections.abc import Container, Mapping

from dits_client.content.manifest import parse_entries
from dits_client.content.scope import EVERYTHING, Part, Scope
from dits_client.workspace.index import (
    DIRECTORY_STAT,
    OUTSIDE_STAT,
    UNKNOWN_STAT,
    DirectoryRecord,
    Index,
)
from dits_client.workspace.trees import Trees


def make_records(
    trees: Trees,
    tree: bytes,
    stats: Mapping[str, bytes],
    scope: Scope = EVERYTHING,
    waiting: Container[str] = (),
) -> dict[str, DirectoryRecord]:
    """Return the records of what a scope covers of a tree; files without a stat are read again later.

    Those that wait for somebody to ask for them are not in the folder.
    """
    records: dict[str, DirectoryRecord] = {}
    todo = [("", tree)]
    for path, manifest in todo:
        entries = parse_entries(trees.load_manifest(manifest))
        prefix = f"{path}/" if path else ""
        found = []
        for name, entry in entries.items():
            if entry.HasField("directory"):
                is_outside = scope.measure(prefix + name) == Part.NOTHING
                if not is_outside:
                    todo.append((prefix + name, entry.directory.manifest_hash))
                found.append(OUTSIDE_STAT if is_outside else DIRECTORY_STAT)
            elif not scope.covers(prefix + name) or prefix + name in waiting:
                found.append(OUTSIDE_STAT)
            else:
                found.append(stats.get(prefix + name, UNKNOWN_STAT))
        records[path] = DirectoryRecord(manifest, "\0".join(entries), b"".join(found))
    return records


def list_stats(index: Index) -> dict[str, bytes]:
    """Return the stats of all files and links of the index by their paths."""
    return {
        f"{path}/{name}" if path else name: stat
        for path, record in index.records.items()
        for name, stat in record.iterate_entries()
        if stat not in (DIRECTORY_STAT, OUTSIDE_STAT)
    }
