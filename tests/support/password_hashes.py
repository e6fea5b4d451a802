"""What hashes of passwords cost: a fifth of a second each in production, and in most tests nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.auth.credentials import passwords

_REAL = (passwords.MEMORY_KIB, passwords.PASSES)
# The least that Argon2 takes.
QUICK = (8, 1)


@contextmanager
def hash_quickly() -> Iterator[None]:
    """Makes services that start in the block hash at the least cost."""
    with pytest.MonkeyPatch.context() as patch:
        _set(patch, *QUICK)
        yield


def hash_really(patch: pytest.MonkeyPatch) -> None:
    """Makes them hash at the cost of production."""
    _set(patch, *_REAL)


def _set(patch: pytest.MonkeyPatch, memory: int, passes: int) -> None:
    patch.setattr(passwords, "MEMORY_KIB", memory)
    patch.setattr(passwords, "PASSES", passes)
