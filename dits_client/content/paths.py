"""Paths of a repository: relative, with slashes."""

import os
import unicodedata
from collections.abc import Iterator


def iterate_parents(path: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first, without the top directory."""
    while path := path.rpartition("/")[0]:
        yield path


def to_repository_path(text: str) -> str:
    """Return a path that somebody typed as a repository has it: in NFC, with slashes, none around it."""
    return unicodedata.normalize("NFC", text.replace(os.sep, "/").strip("/"))
