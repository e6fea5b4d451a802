"""Patterns that select events by name: `push`, `lock.*`, `*`."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import invalid_field
from shared.records.events import TYPES
from shared.rpc import validation

MAX_PATTERNS = 50
_FAMILIES = frozenset(name.partition(".")[0] for name in TYPES if "." in name)
PATTERNS = frozenset({"*", *TYPES, *(f"{family}.*" for family in _FAMILIES)})


def parse_patterns(field: str, patterns: Sequence[str], *, least: int = 0) -> list[str]:
    """Returns the patterns, each once, sorted. Raises INVALID_FIELD if one selects no kind of event."""
    validation.count(field, patterns, MAX_PATTERNS, least)
    for pattern in patterns:
        if pattern not in PATTERNS:
            raise invalid_field(field, f"{pattern[:64]!r} is no event, no `family.*` and not `*`")
    return sorted(set(patterns))


def match_names(patterns: Sequence[str]) -> frozenset[str]:
    """Returns the names of the events that any of the patterns selects."""
    return frozenset(name for name in TYPES if any(_matches(name, each) for each in patterns))


def _matches(name: str, pattern: str) -> bool:
    family, star, _ = pattern.partition("*")
    return name.startswith(family) if star else name == pattern
