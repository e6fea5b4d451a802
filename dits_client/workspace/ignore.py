"""`.ditsignore`: which files of the folder are not part of it. It concerns only what is not tracked.

The rules are those of a `.gitignore`, exactly: a test compares them with `git check-ignore`.
"""

import unicodedata
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from dits_client.content.paths import iterate_parents
from dits_client.errors import os_error
from dits_client.workspace.ignore_patterns import DIRECTORY_MARK, translate_pattern

IGNORE_FILE = ".ditsignore"
# Of a compiled expression; patterns that need more are an error.
MAX_EXPRESSION_BYTES = 64 << 20


class IgnoreRules:
    """The patterns of one file; the last pattern that matches decides."""

    def __init__(self, text: str) -> None:
        lines = text.removeprefix("\ufeff").split("\n")
        rules = [rule for rule in map(_parse_rule, lines) if rule is not None]
        # Neighbours with the same verdict as one expression, the last ones first.
        self._runs = [
            (_compile([expression for expression, _ in run]), verdict)
            for verdict, run in groupby(reversed(rules), key=lambda rule: rule[1])
        ]

    def __bool__(self) -> bool:
        return bool(self._runs)

    def cover(self, path: str) -> bool:
        """Return whether a pattern matches a file or a directory above it."""
        return self.matches(path, is_directory=False) or any(
            self.matches(parent, is_directory=True) for parent in iterate_parents(path)
        )

    def matches(self, path: str, is_directory: bool) -> bool:
        """Return whether to leave out a path, which is relative to the top directory."""
        if not path.isascii():
            path = unicodedata.normalize("NFC", path)
        text = path.encode(errors="surrogateescape") + (DIRECTORY_MARK if is_directory else b"")
        return next((verdict for match, verdict in self._runs if match(text)), False)


class NothingBut(IgnoreRules):
    """Ignores everything but some paths, which are in NFC, and the directories above them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {place for path in paths for place in (path, *iterate_parents(path))}

    def __bool__(self) -> bool:
        return True

    def matches(self, path: str, is_directory: bool) -> bool:  # noqa: ARG002 - see IgnoreRules
        """Return whether to leave out a path."""
        return unicodedata.normalize("NFC", path) not in self._paths


def read_rules(root: Path) -> IgnoreRules:
    """Return the rules of a folder. Raises ClientError if they cannot be read."""
    try:
        return IgnoreRules((root / IGNORE_FILE).read_text(errors="replace"))
    except (FileNotFoundError, IsADirectoryError):
        return IgnoreRules("")
    except OSError as error:
        raise os_error(error, "read", IGNORE_FILE) from error


def _parse_rule(line: str) -> tuple[bytes, bool] | None:
    """Return the expression of a line, and whether it ignores; None = it says nothing."""
    line = _strip_spaces(line.removesuffix("\r"))
    if line.startswith("#"):
        return None
    pattern = unicodedata.normalize("NFC", line.removeprefix("!"))
    expression = translate_pattern(pattern.encode(errors="surrogateescape"))
    return None if expression is None else (expression, not line.startswith("!"))


def _strip_spaces(line: str) -> str:
    """Return a line without spaces at its end, except one behind a backslash."""
    kept = line.rstrip(" ")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return line[: len(kept) + 1] if backslashes % 2 else kept


def _compile(expressions: list[bytes]) -> Any:
    """Return what matches whole paths by one of some expressions."""
    # Loaded only where there are patterns.
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.max_mem = MAX_EXPRESSION_BYTES
    return re2.compile(b"|".join(b"(?:%s)" % one for one in expressions), options).fullmatch
