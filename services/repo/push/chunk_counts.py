"""How many new contents of a push name each chunk: counted from packed bytes, group by group."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dits.repo.v1.manifest_pb2 import File

from services.repo.history.batches import ROWS
from services.repo.push.chunk_lists import ChunkLists
from shared.errors import DomainError, content_mismatch, contention
from shared.formats.canonical import split_hashes
from shared.runtime.weighed_work import STEPS_ON_LOOP

# A chunk of a content: its hash, its size (0 = a recipe, whose size no file claims), number of the content.
_USE = struct.Struct("<32sII")
USE_BYTES = _USE.size
# The groups are of the first bytes of hashes.
_MOST_GROUPS = 256


def count_steps(files: Sequence[File], lists: ChunkLists) -> int:
    """Returns how many steps it takes to group the chunks of some contents; those of recipes are many."""
    if lists.cost or len(files) > STEPS_ON_LOOP:
        return STEPS_ON_LOOP + 1
    return sum(1 + len(file.chunk_sizes) for file in files)


class ChunkGroups:
    """The chunks of contents, packed, in groups of which the last has the lowest hashes."""

    def __init__(self, most_chunks: int) -> None:
        """Takes how many chunks there will be at most."""
        self._number = min(_MOST_GROUPS, most_chunks // ROWS + 1)
        self._groups = [bytearray() for _ in range(self._number)]
        self._contents = 0

    def add(self, files: Sequence[File], lists: ChunkLists) -> None:
        """Adds the chunks of more contents. Raises CONTENTION if a list is not known."""
        groups, number, pack = self._groups, self._number, _USE.pack
        for content, file in enumerate(files, self._contents):
            found = lists.get_parts(file)
            if found is None:
                raise contention("a content of the push was deleted meanwhile")
            if recipes := file.recipe_hashes:
                for recipe in dict.fromkeys(split_hashes(recipes)):
                    groups[recipe[0] * number >> 8] += pack(recipe, 0, content)
            for hashes, sizes in found:
                # By far the commonest first: a push may have 100,000 small files.
                if len(sizes) == 1:
                    groups[hashes[0] * number >> 8] += pack(hashes, sizes[0], content)
                    continue
                for chunk, size in zip(split_hashes(hashes), sizes, strict=True):
                    groups[chunk[0] * number >> 8] += pack(chunk, size, content)
        self._contents += len(files)

    def take_groups(self) -> list[bytearray]:
        """Returns the groups, and forgets them."""
        groups, self._groups = self._groups[::-1], []
        return groups


def group_chunks(files: Sequence[File], lists: ChunkLists) -> list[bytearray]:
    """Returns the chunks of some contents as ChunkGroups has them. Raises CONTENTION."""
    groups = ChunkGroups(sum(map(lists.count_chunks, files)))
    groups.add(files, lists)
    return groups.take_groups()


def count_chunks(group: bytearray) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Returns how many contents name each chunk of a group, and the sizes that they claim.

    Raises CONTENT_MISMATCH if they claim two sizes.
    """
    counts: dict[bytes, int] = {}
    sizes: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    for chunk, size, content in _USE.iter_unpack(group):
        if last.get(chunk) != content:
            last[chunk] = content
            counts[chunk] = counts.get(chunk, 0) + 1
        if size and sizes.setdefault(chunk, size) != size:
            raise wrong_size([chunk.hex()])
    return counts, sizes


def wrong_size(chunks: Sequence[str]) -> DomainError:
    """Chunks, by their hashes in hex, do not have the size that a file claims."""
    return content_mismatch(
        f"{len(chunks)} chunk(s) do not have the size that a file claims, {chunks[0]} for one",
        expected=chunks[0],
    )
