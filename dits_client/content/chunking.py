"""Content is cut into chunks and hashed in one pass, over a buffer that is used again."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from blake3 import blake3

from dits_client.content.holes import PassHole
from shared.formats.canonical import split_hashes
from shared.formats.profiles import PROFILES, Profile

# Room for several of the largest chunks, and small enough for the processor's caches.
WINDOW_BYTES = 4 << 20


class ChunkRef(NamedTuple):
    """A chunk: its hash, 32 bytes, and the number of its bytes."""

    hash: bytes
    size: int


@dataclass(slots=True)
class Cut:
    """The chunks of some content: their hashes, concatenated, their sizes, and the hash of the whole."""

    content_hash: bytes
    hashes: bytes
    sizes: list[int]

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return sum(self.sizes)

    def list_chunks(self) -> list[ChunkRef]:
        """Return the chunks in their order."""
        if len(self.sizes) == 1:
            return [ChunkRef(self.hashes, self.sizes[0])]
        return list(map(ChunkRef, split_hashes(self.hashes), self.sizes))


_SMALLEST = [profile.min_file_bytes for profile in PROFILES]


def choose_profile(size: int) -> Profile:
    """Return the profile for files of this size, in bytes."""
    return PROFILES[bisect_right(_SMALLEST, size) - 1]


def cut_small(content: bytes) -> Cut:
    """Return the cut of content that is one chunk: not empty, and no larger than its profile's least."""
    content_hash = blake3(content).digest()
    return Cut(content_hash, content_hash, [len(content)])


class Cutter:
    """Cuts files, one at a time; each thread needs its own."""

    def __init__(self) -> None:
        # Imported here: this takes as long as a scan of a thousand files.
        from pyfastcdc import FastCDC

        self._cutters: dict[Profile, FastCDC] = {
            profile: FastCDC(
                profile.average_bytes,
                min_size=profile.min_bytes,
                max_size=profile.max_bytes,
                normalized_chunking=1,
                seed=0,
            )
            for profile in PROFILES
        }
        # Page faults of a new buffer for each file would cost more than the hashing.
        self._window = memoryview(bytearray(WINDOW_BYTES))

    def cut(
        self,
        read_into: Callable[[memoryview], int],
        size: int,
        pass_hole: PassHole | None = None,
    ) -> Cut:
        """Return the cut of a file whose size, in bytes, is given.

        `read_into` fills a part of a view and returns the number of bytes, 0 at the end of the file. A file
        that has become shorter is cut as it is; of one that has become longer, the first `size` bytes.
        `pass_hole` moves the position of `read_into`.
        """
        profile = choose_profile(size)
        cutter, window = self._cutters[profile], self._window
        whole, hashes, sizes = blake3(), list[bytes](), list[int]()
        filled = total = 0
        at_end = False
        while not at_end:
            if pass_hole and (passed := pass_hole(total - filled, profile.max_bytes)):
                total, filled = total - filled + passed, 0
                _add_zeros(passed, profile.max_bytes, whole, hashes, sizes)
            while filled < WINDOW_BYTES and total < size:
                count = read_into(window[filled : filled + size - total])
                if count == 0:
                    size = total
                filled += count
                total += count
            at_end = total >= size
            chunks = cutter.cut_buf(window[:filled]) if filled > profile.min_bytes else ()
            done = _add_chunks(chunks, window[:filled], at_end, hashes, sizes)
            if len(hashes) == 1 and at_end:
                return Cut(hashes[0], hashes[0], sizes)
            whole.update(window[:done])
            window[: filled - done] = window[done:filled]
            filled -= done
        return Cut(whole.digest(), b"".join(hashes), sizes)


def _add_chunks(
    chunks: Iterable[Any], content: memoryview, at_end: bool, hashes: list[bytes], sizes: list[int]
) -> int:
    """Add the chunks of a window; return where the first begins that may be longer than the window."""
    done = 0
    for chunk in chunks:
        if chunk.offset + chunk.length == len(content) and not at_end:
            break
        hashes.append(blake3(chunk.data).digest())
        sizes.append(chunk.length)
        done += chunk.length
    if at_end and done < len(content):
        hashes.append(blake3(content[done:]).digest())
        sizes.append(len(content) - done)
        done = len(content)
    return done


def _add_zeros(count: int, size: int, whole: blake3, hashes: list[bytes], sizes: list[int]) -> None:
    """Add so many zeros, in chunks of the largest size: FastCDC finds no cut in them."""
    zeros = bytes(size)
    hashes += [blake3(zeros).digest()] * (count // size)
    sizes += [size] * (count // size)
    for _ in range(count // size):
        whole.update(zeros)
