"""The nearest name to one that does not exist."""

from collections.abc import Sequence
from difflib import get_close_matches


def suggest(name: str, names: Sequence[str]) -> str:
    """Return `: did you mean …?` for the nearest of some names; empty = none is near."""
    by_folded = {other.casefold(): other for other in names}
    found = get_close_matches(name.casefold(), list(by_folded), n=1)
    return f": did you mean {by_folded[found[0]]}?" if found else ""
