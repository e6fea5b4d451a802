"""What differs between two trees, as commands print it."""

from collections.abc import Iterable, Iterator

from dits.repo.v1.tree_service_pb2 import (
    CHANGE_KIND_ADDED,
    CHANGE_KIND_COPIED,
    CHANGE_KIND_DELETED,
    CHANGE_KIND_MODE,
    CHANGE_KIND_MODIFIED,
    CHANGE_KIND_RENAMED,
    DiffSummary,
    DiffTreesRequest,
    DiffTreesResponse,
    TreeChange,
)

from dits_client.cli.folder import format_bytes
from dits_client.cli.table import print_json
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text

_LETTERS = {
    CHANGE_KIND_ADDED: "A",
    CHANGE_KIND_MODIFIED: "M",
    CHANGE_KIND_DELETED: "D",
    CHANGE_KIND_RENAMED: "R",
    CHANGE_KIND_COPIED: "C",
    CHANGE_KIND_MODE: "m",
}


def print_changes(
    repository: RepositoryClient, request: DiffTreesRequest, *, as_json: bool = False
) -> None:
    """Print the changes between two trees, and what they come to."""
    responses = _read_changes(repository, request)
    print_responses(responses, as_json=as_json, with_new=request.count_new_bytes)


def print_responses(
    responses: Iterable[DiffTreesResponse], *, as_json: bool, with_new: bool
) -> None:
    """Print changes, and what they come to."""
    for response in responses:
        if as_json:
            print_json(response.changes)
            if response.HasField("summary"):
                print_json([response.summary])
            continue
        for change in response.changes:
            print(_describe_change(change))
        if response.HasField("summary"):
            print(_summarize(response.summary, with_new=with_new))


def _read_changes(
    repository: RepositoryClient, request: DiffTreesRequest
) -> Iterator[DiffTreesResponse]:
    call = repository.trees.DiffTrees(request, metadata=repository.metadata)
    yield from repository.read_stream(call)


def _describe_change(change: TreeChange) -> str:
    path = escape_text(change.path)
    if change.old_path:
        path = f"{escape_text(change.old_path)} -> {path}"
    sizes = [
        format_bytes(entry.size)
        for entry, is_there in (
            (change.old, change.HasField("old")),
            (change.new, change.HasField("new")),
        )
        if is_there
    ]
    if change.kind in (CHANGE_KIND_RENAMED, CHANGE_KIND_COPIED, CHANGE_KIND_MODE):
        del sizes[1:]
    new = f", {format_bytes(change.new_chunk_bytes)} new" if change.new_chunk_bytes else ""
    return f"{_LETTERS.get(change.kind, '?')}  {path}  ({' -> '.join(sizes)}{new})"


def _summarize(summary: DiffSummary, *, with_new: bool) -> str:
    counts = [
        f"{count} {word}"
        for count, word in (
            (summary.added_count, "added"),
            (summary.modified_count, "modified"),
            (summary.deleted_count, "deleted"),
            (summary.renamed_count, "renamed"),
            (summary.copied_count, "copied"),
            (summary.mode_count, "with another mode"),
        )
        if count
    ]
    if not counts:
        return "Nothing differs."
    sizes = f"{format_bytes(summary.old_bytes)} before, {format_bytes(summary.new_bytes)} after"
    new = f", {format_bytes(summary.new_chunk_bytes)} really new" if with_new else ""
    return f"{', '.join(counts)}; {sizes}{new}."
