"""Which chunks a revision names."""

from collections.abc import Iterator, Sequence
from itertools import islice

from dits.repo.v1.manifest_pb2 import Entry, File

from dits_client.content.manifest import get_manifest_hash, parse_entries
from dits_client.errors import ClientError
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.transfer.download import Downloader
from dits_client.workspace.objects import Objects
from dits_client.workspace.trees import Trees
from shared.formats.canonical import EMPTY_HASH

# Files whose recipes are fetched at once.
_FILES = 100


def list_named_chunks(
    remote: RepositoryClient, revision: str, paths: Sequence[str]
) -> Iterator[bytes]:
    """Yield the hashes of the chunks of the files at and below some paths of a revision, each once.

    No paths = all files. Raises ClientError if there is no such path.
    """
    trees = Trees(Objects(), lambda: remote)
    _, tree = trees.fetch_tree(revision)
    tops = [_find(trees, tree, path) for path in paths] or [_directory(tree)]
    files = _list_files(trees, tops)
    downloader, seen = Downloader(remote, lambda _: None), set[bytes]()
    while some := list(islice(files, _FILES)):
        for chunks in downloader.fetch_chunk_lists(some):
            for chunk in chunks:
                if chunk.hash not in seen:
                    seen.add(chunk.hash)
                    yield chunk.hash


def _directory(tree: bytes) -> Entry:
    entry = Entry()
    entry.directory.manifest_hash = tree
    return entry


def _find(trees: Trees, tree: bytes, path: str) -> Entry:
    entry = _directory(tree)
    for name in filter(None, path.split("/")):
        inner = get_manifest_hash(entry)
        found = None if inner is None else parse_entries(trees.load_manifest(inner)).get(name)
        if found is None:
            raise ClientError(f"there is no {quote_text(path)} in this revision")
        entry = found
    return entry


def _list_files(trees: Trees, tops: Sequence[Entry]) -> Iterator[File]:
    """Yield the files of directories, each content once, without those that were obliterated."""
    left, seen = list(tops), {EMPTY_HASH, *trees.obliterated}
    while left:
        entry = left.pop()
        inner = get_manifest_hash(entry)
        if inner is None:
            if entry.HasField("file") and entry.file.hash not in seen:
                seen.add(entry.file.hash)
                yield entry.file
        elif inner not in seen:
            seen.add(inner)
            left += parse_entries(trees.load_manifest(inner)).values()
