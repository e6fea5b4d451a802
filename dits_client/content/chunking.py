"""Cutting content into chunks and naming them, in one pass over a buffer that is used again."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from shared.formats.profiles import PROFILES, Profile

HASH_BYTES = 32
# Several of the largest chunks; small enough for the processor's caches to be of use.
WINDOW_BYTES = 4 << 20


@dataclass(slots=True)
class Cut:
    """The chunks of some content: 32-byte hashes, concatenated, and sizes; the hash of the whole."""

    content_hash: bytes
    hashes: bytes
    sizes: list[int]

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return sum(self.sizes)


_SMALLEST = [profile.min_file_bytes for profile in PROFILES]


def choose_profile(size: int) -> Profile:
    """Return the last profile whose smallest file is not above the size."""
    return PROFILES[bisect_right(_SMALLEST, size) - 1]


class Cutter:
    """Cuts one file after the other; not to be shared between threads."""

    def __init__(self) -> None:
        # Loading it takes as long as scanning a thousand files: only for those who cut.
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
        # A fresh buffer for every file would cost more in page faults than the hashing.
        self._window = memoryview(bytearray(WINDOW_BYTES))

    def cut(self, read_into: Callable[[memoryview], int], size: int) -> Cut:
        """Cut the content that `read_into` delivers: it fills a part of a view, 0 bytes at the end.

        `size` chooses the profile and ends the reading; a shorter content ends earlier.
        """
        profile = choose_profile(size)
        cutter, window = self._cutters[profile], self._window
        whole, hashes, sizes = blake3(), [], list[int]()
        filled = total = 0
        at_end = False
        while not at_end:
            while filled < WINDOW_BYTES and total < size:
                count = read_into(window[filled : filled + size - total])
                if count == 0:
                    size = total
                filled += count
                total += count
            at_end = total >= size
            done = 0
            for chunk in cutter.cut_buf(window[:filled]) if filled > profile.min_bytes else ():
                # What reaches the end of the window would go on behind it.
                if chunk.offset + chunk.length == filled and not at_end:
                    break
                hashes.append(blake3(chunk.data).digest())
                sizes.append(chunk.length)
                done += chunk.length
            if at_end and done < filled:
                hashes.append(blake3(window[done:filled]).digest())
                sizes.append(filled - done)
                done = filled
            if len(hashes) == 1 and at_end:
                return Cut(hashes[0], hashes[0], sizes)
            whole.update(window[:done])
            window[: filled - done] = window[done:filled]
            filled -= done
        return Cut(whole.digest(), b"".join(hashes), sizes)
