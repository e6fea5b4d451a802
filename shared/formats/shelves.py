"""Shelves: branches below `shelves/`, which hold what users have put aside, done or not."""

SHELVES = "shelves/"


def is_shelf(branch: str) -> bool:
    """Returns whether a branch is a shelf."""
    return branch.startswith(SHELVES)
