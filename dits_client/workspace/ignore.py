"""`.ditsignore`: which files of the folder are not part of it.

One pattern a line, as in `.gitignore`: `*`, `?` and `[…]`; a pattern with a slash counts from the top
directory, one without matches at any depth; a slash at the end = directories only; `!` takes back what an
earlier line ignored; `#` begins a comment. `*` also matches slashes.
"""

import re
from fnmatch import translate

IGNORE_FILE = ".ditsignore"


class IgnoreRules:
    """The patterns of one file; the last one that matches decides."""

    def __init__(self, text: str) -> None:
        self._rules = [_parse_rule(line.rstrip()) for line in text.splitlines() if _is_rule(line)]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def matches(self, path: str, is_directory: bool) -> bool:
        """Say whether a path, relative to the top directory, is to be left out."""
        name = path.rpartition("/")[2]
        ignored = False
        for pattern, anchored, directories_only, verdict in self._rules:
            if directories_only and not is_directory:
                continue
            if verdict != ignored and pattern.match(path if anchored else name):
                ignored = verdict
        return ignored


def _is_rule(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _parse_rule(line: str) -> tuple[re.Pattern[str], bool, bool, bool]:
    negated = line.startswith("!")
    pattern = line.removeprefix("!")
    directories_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    anchored = "/" in pattern
    return re.compile(translate(pattern.lstrip("/"))), anchored, directories_only, not negated
