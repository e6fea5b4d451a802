"""The ignore rules that a checkout brings: a file that they match and that is removed was untracked."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File

from dits_client.content.manifest import Change
from dits_client.content.paths import iterate_parents
from dits_client.content.scope import IGNORE_FILE
from dits_client.errors import ClientError
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.download import Downloader
from dits_client.transfer.lost_content import LostChunkError
from dits_client.workspace.ignore import DirectoryRules
from dits_client.workspace.ignore_files import MAX_IGNORE_BYTES, MAX_TOTAL_BYTES, IgnoreFiles
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees


def fetch_ignore_test(
    repository: RepositoryClient, trees: Trees, tree: bytes, upstream: Sequence[Change], root: Path
) -> Callable[[str], bool]:
    """Return whether a removed path is ignored in a tree; what the folder just stops to include is not.

    Of a file of the tree's rules that nobody can get, those count that the folder at `root` has.
    """
    scope = trees.scope
    # Of directories that are not included, the folder need not have the lists.
    removed = [x.path for x in upstream if x.new is None and scope.covers(x.path)]
    files = _find_files(trees, tree, removed)
    texts = _fetch_texts(repository, list({file.hash: file for file in files.values()}.values()))

    def read(directory: str) -> str:
        if directory not in files:
            return ""
        text = texts.get(files[directory].hash)
        return IgnoreFiles().read_below(root, directory) if text is None else text

    rules = DirectoryRules(read)
    return lambda path: scope.covers(path) and rules.cover(path)


def _find_files(trees: Trees, tree: bytes, removed: Iterable[str]) -> dict[str, File]:
    """Return the ignore files of a tree by their directories, those above removed paths."""
    tracked, found = TrackedPaths(trees.load_manifest, [tree]), dict[str, File]()
    # The same text in many directories counts once, as in the folder.
    hashes, left = set[bytes](), MAX_TOTAL_BYTES
    directories = {above for path in removed for above in ("", *iterate_parents(path))}
    for directory in sorted(directories):
        entry = tracked.get_entry(f"{directory}/{IGNORE_FILE}" if directory else IGNORE_FILE)
        if entry is None or entry.file.hash in trees.obliterated:
            continue
        file = entry.file
        size = 0 if file.hash in hashes else file.size
        if 0 < file.size <= MAX_IGNORE_BYTES and size <= left:
            found[directory] = file
            hashes.add(file.hash)
            left -= size
    return found


def _fetch_texts(repository: RepositoryClient, files: Sequence[File]) -> dict[bytes, str]:
    """Return the texts of files by their hashes, without those that nobody can get."""
    if not files:
        return {}
    downloader = Downloader(repository, lambda _: None)
    try:
        lists = list(downloader.fetch_chunk_lists(files))
        parts = downloader.fetch_chunks([chunk for each in lists for chunk in each])
        return {
            file.hash: _decode(file, b"".join(islice(parts, len(chunks))))
            for file, chunks in zip(files, lists, strict=True)
        }
    except LostChunkError:
        middle = len(files) // 2
        if not middle:
            return {}
        return _fetch_texts(repository, files[:middle]) | _fetch_texts(repository, files[middle:])


def _decode(file: File, content: bytes) -> str:
    if blake3(content).digest() != file.hash:
        raise ClientError(f"a {IGNORE_FILE} was damaged on its way")
    return content.decode(errors="surrogateescape")
