"""The index after a checkout: the records of a tree, and the stats of its files."""

from collections.abc import Mapping

from dits_client.content.manifest import parse_entries
from dits_client.workspace.index import DIRECTORY_STAT, UNKNOWN_STAT, DirectoryRecord, Index
from dits_client.workspace.trees import Trees


def make_records(
    trees: Trees, tree: bytes, stats: Mapping[str, bytes]
) -> dict[str, DirectoryRecord]:
    """Return the records of a tree; files without a stat are read again later."""
    records: dict[str, DirectoryRecord] = {}
    todo = [("", tree)]
    for path, manifest in todo:
        entries = parse_entries(trees.load_manifest(manifest))
        prefix = f"{path}/" if path else ""
        found = []
        for name, entry in entries.items():
            if entry.HasField("directory"):
                todo.append((prefix + name, entry.directory.manifest_hash))
                found.append(DIRECTORY_STAT)
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
        if stat != DIRECTORY_STAT
    }
