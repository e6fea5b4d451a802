"""`.ditsignore`: which files of the folder are not part of it. It concerns only what is not tracked.

The rules are those of a `.gitignore`, exactly: a test compares them with `git check-ignore`. Each directory
may have a file of them; those of a directory that is ignored itself do not count.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any

from dits_client.content.paths import iterate_parents
from dits_client.workspace.ignore_patterns import DIRECTORY_MARK, translate_pattern

# Of a compiled expression: more than what the longest ignore file needs.
MAX_EXPRESSION_BYTES = 64 << 20
# Of the texts of ignore files that are kept compiled: many directories may have one.
KEPT_TEXTS = 256


class IgnoreRules:
    """The patterns of a directory's file and of those above it; the last of the nearest file decides."""

    def __init__(
        self, text: str = "", directory: str = "", above: "IgnoreRules | None" = None
    ) -> None:
        """Take the text of a file, the path of its directory, and the rules of the directory above."""
        # In bytes, as paths are matched; what is behind it is relative to the directory.
        start = len(f"{directory}/".encode(errors="surrogateescape")) if directory else 0
        # The nearest first.
        self.levels: tuple[tuple[int, str], ...] = ((start, text), *(above.levels if above else ()))

    def __bool__(self) -> bool:
        return any(_compile_text(text) for _, text in self.levels)

    def matches(self, path: str, is_directory: bool) -> bool:
        """Return whether to leave out a path of the directory, relative to the top directory."""
        if not path.isascii():
            path = unicodedata.normalize("NFC", path)
        whole = path.encode(errors="surrogateescape") + (DIRECTORY_MARK if is_directory else b"")
        for start, text in self.levels:
            verdict = _compile_text(text).decide(whole[start:])
            if verdict is not None:
                return verdict
        return False

    def enter(self, directory: str, text: str) -> "IgnoreRules":
        """Return the rules of a directory below, whose ignore file has a text; empty = it has none."""
        return IgnoreRules(text, directory, self) if _compile_text(text) else self


class NothingBut(IgnoreRules):
    """Ignores everything but some paths, which are in NFC, and the directories above them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {place for path in paths for place in (path, *iterate_parents(path))}

    def __bool__(self) -> bool:
        return True

    def matches(self, path: str, is_directory: bool) -> bool:  # noqa: ARG002 - see IgnoreRules
        """Return whether to leave out a path."""
        return unicodedata.normalize("NFC", path) not in self._paths


class DirectoryRules:
    """The rules of each directory of a folder or tree, read when a path in it is asked for."""

    def __init__(self, read: Callable[[str], str]) -> None:
        """Take what returns the text of a directory's ignore file, by its path; empty = it has none."""
        self._read = read
        # None = the directory is ignored.
        self._known: dict[str, IgnoreRules | None] = {"": IgnoreRules(read(""))}

    def cover(self, path: str, *, is_directory: bool = False) -> bool:
        """Return whether a pattern matches a path or a directory above it."""
        above = list(iterate_parents(path))
        rules = self._known[""]
        for directory in reversed(above):
            if directory not in self._known:
                self._known[directory] = self._enter(directory, rules)
            rules = self._known[directory]
        return rules is None or rules.matches(path, is_directory)

    def _enter(self, directory: str, above: IgnoreRules | None) -> IgnoreRules | None:
        if above is None or above.matches(directory, is_directory=True):
            return None
        return above.enter(directory, self._read(directory))


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


class _Patterns:
    """Patterns in a row, the last one first: a few expressions tell which is the first that matches."""

    def __init__(self, rules: Sequence[tuple[bytes, bool]]) -> None:
        """Take expressions, each with whether what it matches is ignored."""
        self._rules = rules
        self._match = _compile([expression for expression, _ in rules]) if rules else None
        self._is_uniform = len({verdict for _, verdict in rules}) < 2

    def __bool__(self) -> bool:
        return bool(self._rules)

    def decide(self, path: bytes) -> bool | None:
        """Return what the first pattern that matches says; None = there is none."""
        if self._match is None or not self._match(path):
            return None
        if self._is_uniform:
            return self._rules[0][1]
        first, second = self._halves
        verdict = first.decide(path)
        return second.decide(path) if verdict is None else verdict

    @cached_property
    def _halves(self) -> "tuple[_Patterns, _Patterns]":
        middle = len(self._rules) // 2
        return _Patterns(self._rules[:middle]), _Patterns(self._rules[middle:])


@lru_cache(maxsize=KEPT_TEXTS)
def _compile_text(text: str) -> _Patterns:
    """Return what the patterns of a file match."""
    lines = text.removeprefix("\ufeff").split("\n")
    return _Patterns([rule for rule in map(_parse_rule, reversed(lines)) if rule is not None])


def _compile(expressions: list[bytes]) -> Any:
    """Return what matches whole paths by one of some expressions."""
    # Loaded only where there are patterns.
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.log_errors = False
    options.max_mem = MAX_EXPRESSION_BYTES
    return re2.compile(b"|".join(b"(?:%s)" % one for one in expressions), options).fullmatch
