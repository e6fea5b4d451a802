"""`.ditsignore`: which files of the folder are not part of it. It concerns only what is not tracked.

One pattern on each line, as in `.gitignore`: `*`, `?` and `[…]`. A pattern with a slash starts at the top
directory; one without matches at any depth. A slash at the end means directories only. `!` keeps what an
earlier line ignored. `#` starts a comment. `*` also matches slashes.
"""

import re
from fnmatch import translate
from pathlib import Path

from dits_client.content.paths import iterate_parents
from dits_client.errors import os_error

IGNORE_FILE = ".ditsignore"


class IgnoreRules:
    """The patterns of one file; the last pattern that matches decides."""

    def __init__(self, text: str) -> None:
        self._rules = [_parse_rule(line.rstrip()) for line in text.splitlines() if _is_rule(line)]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def cover(self, path: str) -> bool:
        """Return whether a pattern matches a file or a directory above it."""
        return self.matches(path, is_directory=False) or any(
            self.matches(parent, is_directory=True) for parent in iterate_parents(path)
        )

    def matches(self, path: str, is_directory: bool) -> bool:
        """Return whether to leave out a path, which is relative to the top directory."""
        name = path.rpartition("/")[2]
        ignored = False
        for pattern, anchored, directories_only, verdict in self._rules:
            if directories_only and not is_directory:
                continue
            if verdict != ignored and pattern.match(path if anchored else name):
                ignored = verdict
        return ignored


def read_rules(root: Path) -> IgnoreRules:
    """Return the rules of a folder. Raises ClientError if they cannot be read."""
    try:
        return IgnoreRules((root / IGNORE_FILE).read_text(errors="replace"))
    except (FileNotFoundError, IsADirectoryError):
        return IgnoreRules("")
    except OSError as error:
        raise os_error(error, "read", IGNORE_FILE) from error


def _is_rule(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _parse_rule(line: str) -> tuple[re.Pattern[str], bool, bool, bool]:
    negated = line.startswith("!")
    pattern = line.removeprefix("!")
    directories_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    anchored = "/" in pattern
    return re.compile(translate(pattern.lstrip("/"))), anchored, directories_only, not negated
