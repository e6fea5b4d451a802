"""A filter in memory that tells which chunks a repository has."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.rpc.validation import DIGEST_BYTES

# The first eight bytes of each hash. Who makes two that share them fools only the own repository.
Keys: TypeAlias = NDArray[np.uint64]
KEY_BYTES = 8

# Additions that are known before those they follow upon; beyond, the filter stays behind.
_MAX_EARLY = 32


def split_keys(packed: bytes) -> Keys:
    """Returns the keys of packed hashes."""
    return np.frombuffer(packed, ">u8")[:: DIGEST_BYTES // KEY_BYTES].astype(np.uint64)


def read_keys(packed: bytes) -> Keys:
    """Returns packed keys."""
    return np.frombuffer(packed, ">u8").astype(np.uint64)


class PresenceFilter:
    """The keys of a repository's chunks.

    Attributes:
        version: `additions` of the repository, of which it has all.
        erasures: of the repository, when it was built.
        is_complete: whether it has all chunks of this version, and not only some.
        valid_until: until when each of its chunks is kept for half a lease, by time.monotonic().
    """

    def __init__(
        self,
        keys: Keys,
        version: int,
        *,
        erasures: int = 0,
        is_complete: bool,
        valid_until: float,
    ) -> None:
        """`keys` are sorted."""
        self.version = version
        self.erasures = erasures
        self.is_complete = is_complete
        self.valid_until = valid_until
        self._keys = keys
        self._added: list[Keys] = []
        self._early: dict[int, Keys] = {}
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Its bytes."""
        return KEY_BYTES * (len(self._keys) + sum(map(len, self._added)))

    def add(self, keys: Keys, version: int) -> None:
        """Adds what a transaction has added to the repository, which made it this version."""
        if version > self.version:
            self._early[version] = keys
        while (following := self._early.pop(self.version + 1, None)) is not None:
            self._added.append(following)
            self.version += 1
        if len(self._early) > _MAX_EARLY:
            self._early.clear()

    def mark_present(self, packed: bytes) -> NDArray[np.bool_]:
        """Returns for each of the packed hashes whether it is there. For a thread: takes milliseconds."""
        wanted = split_keys(packed)
        with self._lock:
            self._merge()
            keys = self._keys
        if not len(keys):
            return np.zeros(len(wanted), np.bool_)
        places = np.searchsorted(keys, wanted)
        present: NDArray[np.bool_] = keys[np.minimum(places, len(keys) - 1)] == wanted
        return present

    def _merge(self) -> None:
        if not self._added:
            return
        count = len(self._added)
        parts: Sequence[Keys] = [self._keys, *self._added[:count]]
        self._keys = np.sort(np.concatenate(parts), kind="stable")
        del self._added[:count]


def pack_missing(present: NDArray[np.bool_]) -> tuple[bytes, int]:
    """Returns a bit for each chunk, 1 if it is missing, lowest first, and the number of these."""
    missing = ~present
    return np.packbits(missing, bitorder="little").tobytes(), int(np.count_nonzero(missing))
