"""Which names Windows and macOS can store, too, and which they take for the same. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])", re.IGNORECASE)
_DEVICE_LETTERS = 4


def find_name_problem(name: str) -> str:
    """Return why Windows cannot store a name; empty if it can."""
    if found := _FORBIDDEN.search(name):
        return f"has the character {found[0]!a}, which Windows cannot store"
    if name[-1] in ". ":
        return "ends in a dot or a space, which Windows cannot store"
    stem = name.partition(".")[0].rstrip(" ")
    # Nearly all names are told from those of devices by their length.
    if len(stem) <= _DEVICE_LETTERS and _DEVICE.fullmatch(stem):
        return "is the name of a device on Windows"
    return ""


def find_twin(names: Iterable[str], written: Collection[str]) -> tuple[str, str] | None:
    """Return a name of a directory and an earlier one that differs by the case of letters alone.

    One of the two is `written`. None if there are no such names.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(fold_name(name), name)
        if other != name and (other in written or name in written):
            return name, other
    return None


def fold_name(name: str) -> str:
    """Return what Windows and macOS tell names apart by."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
