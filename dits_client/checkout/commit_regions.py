"""In which regions the chunks of a commit lie, and where some are missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from dits.chunk.v1.placement_service_pb2 import FindMissingCopiesRequest, MissingCopies
from dits.chunk.v1.placement_service_pb2_grpc import PlacementServiceStub
from dits.repo.v1.manifest_pb2 import File

from dits_client.content.manifest import get_manifest_hash, parse_entries
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.download import Downloader
from dits_client.workspace.objects import Objects
from dits_client.workspace.trees import Trees
from shared.formats.canonical import split_hashes

# Files whose chunk lists are fetched together, and hashes of one call.
FILES = 1000
HASHES = 10_000


@dataclass(slots=True)
class RegionReport:
    """What of a commit is not in a region where the repository wants it.

    Attributes:
        chunks: how many chunks.
        bytes: uncompressed bytes of those whose size is known: chunk lists of large files count as 0.
        files: the paths of the files that have some of them, in order.
    """

    chunks: int = 0
    bytes: int = 0
    files: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CommitRegions:
    """What of a commit is missing where.

    Attributes:
        commit: its hash.
        regions: by name, those where the repository wants its chunks; none if the commit has no files.
    """

    commit: str
    regions: dict[str, RegionReport] = field(default_factory=dict)


def find_commit_regions(remote: RepositoryClient, revision: str) -> CommitRegions:
    """Return what of a revision is not in which regions; what is obliterated is left out."""
    trees = Trees(Objects(), lambda: remote)
    commit, tree = trees.fetch_tree(revision)
    found = CommitRegions(commit)
    downloader = Downloader(remote, lambda _: None)
    # The regions that lack a chunk, for each that was asked about.
    lacking: dict[bytes, tuple[str, ...]] = {}
    files = _iterate_files(trees, tree)
    while batch := list(islice(files, FILES)):
        lists = _list_chunks(downloader, [file for _, file in batch])
        sizes = {chunk: size for chunks in lists for chunk, size in chunks.items()}
        new = [chunk for chunk in sizes if chunk not in lacking]
        for at in range(0, len(new), HASHES):
            hashes = new[at : at + HASHES]
            lacking.update(dict.fromkeys(hashes, ()))
            _note_missing(found, hashes, sizes, lacking, _ask(remote, hashes))
        for (path, _), chunks in zip(batch, lists, strict=True):
            for region in sorted({region for chunk in chunks for region in lacking[chunk]}):
                found.regions[region].files.append(path)
    return found


def _iterate_files(trees: Trees, tree: bytes, path: str = "") -> Iterator[tuple[str, File]]:
    """Yield the files below a directory, in order."""
    for name, entry in parse_entries(trees.load_manifest(tree)).items():
        below = get_manifest_hash(entry)
        if below is not None:
            yield from _iterate_files(trees, below, f"{path}{name}/")
        elif entry.HasField("file") and entry.file.hash not in trees.obliterated:
            yield path + name, entry.file


def _list_chunks(downloader: Downloader, files: Sequence[File]) -> list[dict[bytes, int]]:
    """Return the chunks of each file with their sizes, and its recipes, whose sizes nobody needs."""
    return [
        dict.fromkeys(split_hashes(file.recipe_hashes), 0) | {ref.hash: ref.size for ref in refs}
        for file, refs in zip(files, downloader.fetch_chunk_lists(files), strict=True)
    ]


def _ask(remote: RepositoryClient, hashes: Sequence[bytes]) -> Sequence[MissingCopies]:
    stub = PlacementServiceStub(remote.chunk_channel)
    request = FindMissingCopiesRequest(repository=remote.name, hashes=b"".join(hashes))
    answer: Sequence[MissingCopies] = remote.call(stub.FindMissingCopies, request).regions
    return answer


def _note_missing(
    found: CommitRegions,
    hashes: Sequence[bytes],
    sizes: dict[bytes, int],
    lacking: dict[bytes, tuple[str, ...]],
    answer: Sequence[MissingCopies],
) -> None:
    for each in answer:
        report = found.regions.setdefault(each.region, RegionReport())
        report.chunks += each.missing_count
        for position, chunk in enumerate(hashes):
            if each.missing[position >> 3] >> (position & 7) & 1:
                lacking[chunk] += (each.region,)
                report.bytes += sizes[chunk]
