"""The chunks that a push offers to the server, and where their bytes are."""

import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File

from dits_client.content.chunking import ChunkRef, Cutter
from dits_client.content.file_opener import FileOpener
from dits_client.content.manifest import Change, list_chunks, make_file_entry
from dits_client.content.sources import Piece, Source, VanishedFileError, changed_file_error
from dits_client.errors import os_error
from dits_client.workspace.objects import Objects
from shared.formats.canonical import split_hashes


def make_pieces(
    source: Source, chunks: Iterable[ChunkRef], recipes: Iterable[bytes]
) -> Iterator[Piece]:
    """Yield the chunks of a file, then its recipes, which are stored as chunks."""
    offset = 0
    for chunk in chunks:
        yield Piece(source, offset, chunk.size, chunk.hash)
        offset += chunk.size
    for recipe in recipes:
        chunk_hash = blake3(recipe).digest()
        yield Piece(Source(source.label, content=recipe), 0, len(recipe), chunk_hash)


class Offer:
    """Finds the pieces of files whose entries are known."""

    def __init__(self, objects: Objects, get_source: Callable[[str], Source]) -> None:
        self._objects = objects
        self._get_source = get_source

    def iterate_unread(
        self, changes: Sequence[Change], read: Container[str]
    ) -> Iterator[Iterator[Piece]]:
        """Yield the pieces of each changed file that this push did not read, and so did not offer.

        Files whose content the parent has under another path are left out: the server has their chunks.
        """
        there = {change.old.file.hash for change in changes if change.old is not None}
        unread = (change for change in changes if change.path not in read)
        for path, file in _iterate_new_files(unread):
            if file.hash not in there:
                yield self._pieces(path, file)

    def iterate_all(
        self, changes: Iterable[Change], only: Container[bytes]
    ) -> Iterator[list[Piece]]:
        """Yield the pieces of each changed file; unless `only` is empty, just those with its hashes."""
        for path, file in _iterate_new_files(changes):
            found = self._pieces(path, file)
            yield [piece for piece in found if not only or piece.hash in only]

    def _pieces(self, path: str, file: File) -> Iterator[Piece]:
        source = self._get_source(path)
        names = split_hashes(file.recipe_hashes)
        recipes = [content for content in map(self._objects.get, names) if content is not None]
        if len(recipes) < len(names):
            return self._cut_again(source, file)
        return make_pieces(source, list_chunks(file, recipes), recipes)

    def _cut_again(self, source: Source, file: File) -> Iterator[Piece]:
        """Yield the pieces of a large file whose recipes the index does not have: it is read."""
        try:
            with closing(FileOpener()) as opener:
                descriptor = opener.open_file(source.path, source.top)
            with os.fdopen(descriptor, "rb", buffering=0) as content:
                cut = Cutter().cut(content.readinto, file.size)
        except FileNotFoundError:
            raise VanishedFileError(source.label) from None
        except OSError as error:
            raise os_error(error, "read", source.label) from error
        if cut.content_hash != file.hash:
            raise changed_file_error(source.label)
        return make_pieces(source, cut.list_chunks(), make_file_entry(file.mode, cut)[1])


def _iterate_new_files(changes: Iterable[Change]) -> Iterator[tuple[str, File]]:
    for path, _, new in changes:
        if new is not None and new.HasField("file"):
            yield path, new.file
