"""Patterns of paths as a `.gitignore` has them, the last one that matches deciding. Pure.

RE2 matches them in time linear in the path, whatever the pattern: the engine of Python holds every thread
while it tries all the ways in which a row of stars can match.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import re2
from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from shared.formats.canonical import FormatError
from shared.formats.text import find_line_fault, list_looks

MAX_PATTERNS = 100
MAX_PATTERN_CHARACTERS = 256

# How pathspec marks that a pattern matched a directory above the path.
_MARK = "(?P<ps_d>/)"


@dataclass(frozen=True, slots=True)
class PathPatterns:
    """Some patterns, ready to match.

    Attributes:
        runs: neighbours of the same kind as one expression, and whether they include, the last ones first.
    """

    runs: tuple[tuple[Any, bool], ...]

    @classmethod
    def parse(cls, patterns: Sequence[str]) -> PathPatterns:
        """Return patterns of one line each, which match paths in NFC. Raises FormatError of `patterns`."""
        if len(patterns) > MAX_PATTERNS:
            raise FormatError("patterns", f"has more than {MAX_PATTERNS} patterns")
        parsed = [_parse(pattern) for pattern in patterns]
        grouped = groupby(parsed, key=lambda found: found[1])
        runs = [(_join(text for text, _ in found), includes) for includes, found in grouped]
        return cls(tuple(reversed(runs)))

    def matches(self, path: str) -> bool:
        """Return whether the last of the patterns that matches the path is without `!`."""
        for expression, includes in self.runs:
            if expression.search(path):
                return includes
        return False


def matches_name(patterns: PathPatterns, name: str) -> bool:
    """Return whether patterns match the name of a branch or tag, or one that it cannot be told from."""
    return any(patterns.matches(look) for look in list_looks(name))


def _parse(pattern: str) -> tuple[str, bool]:
    """Return the expression of a pattern, and whether it includes."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise FormatError(
            "patterns", f"{pattern[:40]!a} has over {MAX_PATTERN_CHARACTERS} characters"
        )
    if fault := find_line_fault(pattern):
        raise FormatError("patterns", f"{pattern!a} {fault}")
    try:
        # A name that was copied from macOS is in NFD, and no path is.
        text, includes = GitIgnoreSpecPattern.pattern_to_regex(
            unicodedata.normalize("NFC", pattern)
        )
    except GitIgnorePatternError:
        text, includes = None, None
    if not isinstance(text, str) or includes is None:
        raise FormatError("patterns", f"{pattern!a} is no pattern")
    text = text.replace(_MARK, "/")
    _join([text], pattern)
    return text, includes


def _join(texts: Iterable[str], pattern: str = "") -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile("|".join(texts), options)
    except re2.error:
        what = f"{pattern!a} is no pattern" if pattern else "is too complex"
        raise FormatError("patterns", what) from None
