"""Paths of a repository: relative, with slashes."""

from collections.abc import Iterator


def iterate_parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first, without the top directory."""
    while path := path.rpartition("/")[0]:
        yield path
