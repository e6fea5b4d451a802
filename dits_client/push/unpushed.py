"""What the next push would bring: the changes of a folder, and the bytes that the server lacks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from dits.chunk.v1.chunk_service_pb2 import FindMissingChunksRequest
from dits.repo.v1.manifest_pb2 import Entry
from dits.repo.v1.tree_service_pb2 import (
    CHANGE_KIND_ADDED,
    CHANGE_KIND_DELETED,
    CHANGE_KIND_MODE,
    CHANGE_KIND_MODIFIED,
    CHANGE_KIND_RENAMED,
    ENTRY_KIND_FILE,
    ENTRY_KIND_SYMLINK,
    ChangeKind,
    DiffSummary,
    DiffTreesResponse,
    DirectoryEntry,
    TreeChange,
)

from dits_client.content.manifest import Change
from dits_client.progress import Progress
from dits_client.push.offer import Offer
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.changes import FolderChanges, open_changes
from dits_client.workspace.unusable import join_sentences
from dits_client.workspace.workspace import Workspace

# The most hashes of one question.
MAX_HASHES = 10_000


def list_unpushed(
    folder: Path,
    connect: Callable[[], Client],
    *,
    path: str = "",
    count_new_bytes: bool = False,
    progress: Progress | None = None,
) -> DiffTreesResponse:
    """Return what differs in a folder from its commit, at a path and below, as DiffTrees tells it of trees.

    A file that has the content of one that is gone was renamed. With `count_new_bytes` the server is asked
    which chunks it lacks; each counts once, for the first file that has it. `connect` is called then, or if
    the index is lost.
    """
    workspace, progress = Workspace.locate(folder), progress or Progress()
    with (
        workspace.lock(only_reads=True),
        open_changes(workspace, connect, progress) as found,
    ):
        wanted = [x for x in found.changes if not path or f"{x.path}/".startswith(f"{path}/")]
        changes = list(_describe_changes(wanted))
        if count_new_bytes:
            remote = RepositoryClient(connect(), workspace.state.address)
            _count_new_bytes(remote, found, wanted, changes)
        if unusable := found.snapshot.unusable:
            progress.warn(f"no push takes:{join_sentences(unusable.values())}")
    return DiffTreesResponse(changes=changes, summary=_summarize(changes))


def _describe_changes(changes: Sequence[Change]) -> Iterator[TreeChange]:
    gone = {x.old.file.hash: x for x in changes if x.old and not x.new and x.old.file.size}
    moved = {
        new.file.hash: path
        for path, old, new in changes
        if new and not old and new.file.hash in gone
    }
    for path, old, new in changes:
        content = (new or old or Entry()).file.hash
        if old is None and moved.get(content) == path:
            found = TreeChange(kind=CHANGE_KIND_RENAMED, path=path, old_path=gone[content].path)
            old = gone[content].old
        elif new is None and content in moved and gone[content].path == path:
            continue
        else:
            found = TreeChange(kind=_find_kind(old, new), path=path)
        for name, entry in (("old", old), ("new", new)):
            if entry is not None:
                getattr(found, name).CopyFrom(_describe_entry(path, entry))
        yield found


def _find_kind(old: Entry | None, new: Entry | None) -> ChangeKind.ValueType:
    if old is None or new is None:
        return CHANGE_KIND_ADDED if old is None else CHANGE_KIND_DELETED
    is_same = old.HasField("file") and old.file.hash == new.file.hash
    return CHANGE_KIND_MODE if is_same else CHANGE_KIND_MODIFIED


def _describe_entry(path: str, entry: Entry) -> DirectoryEntry:
    name = path.rpartition("/")[2]
    if entry.HasField("symlink"):
        target = entry.symlink.target
        size = len(target.encode())
        return DirectoryEntry(name=name, kind=ENTRY_KIND_SYMLINK, size=size, target=target)
    file = entry.file
    return DirectoryEntry(
        name=name, kind=ENTRY_KIND_FILE, size=file.size, mode=file.mode, hash=file.hash.hex()
    )


def _count_new_bytes(
    remote: RepositoryClient,
    found: FolderChanges,
    wanted: Iterable[Change],
    changes: Iterable[TreeChange],
) -> None:
    """Fill in the bytes of chunks of each file that the repository lacks."""
    offer, sizes = Offer(found.index.objects, found.snapshot.get_source), dict[bytes, int]()
    lists: dict[str, list[bytes]] = {}
    for change in wanted:
        for pieces in offer.iterate_all([change], frozenset()):
            lists[change.path] = [piece.hash for piece in pieces]
            sizes |= {piece.hash: piece.size for piece in pieces}
    missing = set(_find_missing(remote, sizes))
    for each in changes:
        fresh = missing.intersection(lists.get(each.path, ()))
        if each.HasField("new"):
            each.new_chunk_bytes = sum(map(sizes.__getitem__, fresh))
        missing -= fresh


def _find_missing(remote: RepositoryClient, hashes: Iterable[bytes]) -> Iterator[bytes]:
    left = iter(hashes)
    while asked := list(islice(left, MAX_HASHES)):
        request = FindMissingChunksRequest(repository=remote.name, hashes=b"".join(asked))
        bits = remote.call(remote.chunks.FindMissingChunks, request).missing
        yield from (x for at, x in enumerate(asked) if bits[at >> 3] >> (at & 7) & 1)


def _summarize(changes: Iterable[TreeChange]) -> DiffSummary:
    summary = DiffSummary()
    counts = {
        CHANGE_KIND_ADDED: "added_count",
        CHANGE_KIND_MODIFIED: "modified_count",
        CHANGE_KIND_DELETED: "deleted_count",
        CHANGE_KIND_RENAMED: "renamed_count",
        CHANGE_KIND_MODE: "mode_count",
    }
    for change in changes:
        name = counts[change.kind]
        setattr(summary, name, getattr(summary, name) + 1)
        if change.kind != CHANGE_KIND_MODE:
            summary.old_bytes += change.old.size
            summary.new_bytes += change.new.size
        summary.new_chunk_bytes += change.new_chunk_bytes
    return summary
