"""Names that are nearly those of settings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches


def describe_unknown(name: str, settings: Collection[str]) -> str:
    """A sentence about a name that is no setting's."""
    meant = _find_meant(name, settings)
    return f"There is no setting {name}" + (f"; {meant} may be meant." if meant else ".")


def _find_meant(name: str, settings: Collection[str]) -> str | None:
    return next(iter(get_close_matches(name, settings, 1, 0.85)), None)


def find_mistyped(variables: Iterable[str], settings: Collection[str]) -> Iterator[tuple[str, str]]:
    """The environment variables that are no setting but nearly one, each with the one that may be meant.

    Others are not ours to judge: the client has its own, and containers get some for their neighbours.
    """
    for variable in variables:
        name = variable.removeprefix("DITS_").lower()
        if not variable.startswith("DITS_") or name in settings:
            continue
        if meant := _find_meant(name, settings):
            yield variable, f"DITS_{meant.upper()}"
