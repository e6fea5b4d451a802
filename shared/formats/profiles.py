"""Where files are cut. Part of the contract: clients that cut elsewhere share no chunks.

Pure: the server recommends these numbers, the reference client uses them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Where FastCDC (2020, normalisation level 1, seed 0) cuts files of at least `min_file_bytes`.

    All clients have to agree on these numbers to find the same cuts.
    """

    min_file_bytes: int
    min_bytes: int
    average_bytes: int
    max_bytes: int


PROFILES = (
    Profile(0, 16 << 10, 64 << 10, 256 << 10),
    Profile(64 << 20, 64 << 10, 256 << 10, 1 << 20),
)
