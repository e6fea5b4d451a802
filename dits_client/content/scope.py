"""Which paths of a tree a folder has: all, or those that rules include. Pure: paths in, answers out."""

from collections.abc import Iterable, Mapping
from enum import Enum

from dits_client.content.paths import iterate_parents

# The folder is read by the rules in these files: each is included whose directory is so in part.
IGNORE_FILE = ".ditsignore"

# Levels of folders below a path that are included, its own files the first; None = all, 0 = nothing.
Rules = Mapping[str, int | None]


class Part(Enum):
    """How much of a directory a scope covers."""

    ALL = 1
    SOME = 2
    NOTHING = 3


class Scope:
    """The paths that rules include; the rule of a path, else of the nearest directory above it, decides.

    Without rules everything is included.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules: Rules = dict(rules or {})
        # The directories above the paths of rules.
        self._above = {above for path in self.rules for above in iterate_parents(path)}
        self._above |= {"" for path in self.rules if path}

    def __bool__(self) -> bool:
        """Whether something is left out."""
        return bool(self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scope) and self.rules == other.rules

    __hash__ = None  # type: ignore[assignment] # nobody needs it

    def covers(self, path: str) -> bool:
        """Return whether a file at a path is included."""
        if not self.rules:
            return True
        levels, below = self._find_rule(path)
        if levels is None or below <= levels > 0:
            return True
        above, _, name = path.rpartition("/")
        return name == IGNORE_FILE and self.measure(above) != Part.NOTHING

    def measure(self, directory: str) -> Part:
        """Return how much of a directory, "" = the top one, is included."""
        if not self.rules:
            return Part.ALL
        if directory in self._above:
            return Part.SOME
        levels, below = self._find_rule(directory)
        if levels is None:
            return Part.ALL
        return Part.SOME if below < levels else Part.NOTHING

    def include(self, path: str, levels: int | None = None) -> "Scope":
        """Return a scope that has a path, too, with all below it, or with some levels below it."""
        return self._replace(path, levels)

    def exclude(self, path: str) -> "Scope":
        """Return a scope without a path and all below it."""
        return self._replace(path, 0)

    def _replace(self, path: str, levels: int | None) -> "Scope":
        rules = dict(self.rules) or {"": None}
        for inner in list(rules):
            if inner == path or path in iterate_parents(inner) or not path:
                del rules[inner]
        others = Scope(rules)
        # A rule that says what the one above says already is left out.
        if not rules or others._find_rule(path)[0] != levels or levels:
            rules[path] = levels
        return Scope({} if rules == {"": None} else rules)

    def _find_rule(self, path: str) -> tuple[int | None, int]:
        """Return the levels of the rule that decides, and how many levels the path is below its path."""
        if path in self.rules:
            return self.rules[path], 0
        below = 0
        for above in iterate_parents(path):
            below += 1
            if above in self.rules:
                return self.rules[above], below
        return self.rules.get("", 0), below + 1


class _JoinedScope(Scope):
    """What any of some scopes includes; equal to no other."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        super().__init__()
        self._scopes = list(scopes)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None

    def covers(self, path: str) -> bool:
        """Return whether one of the scopes includes a file."""
        return any(scope.covers(path) for scope in self._scopes)

    def measure(self, directory: str) -> Part:
        """Return how much of a directory the scopes include, as far as one of them tells."""
        parts = {scope.measure(directory) for scope in self._scopes}
        return min(parts, key=lambda part: part.value)


def join_scopes(scopes: Iterable[Scope]) -> Scope:
    """Return a scope of what any of some scopes includes."""
    found: list[Scope] = []
    for scope in scopes:
        if not scope:
            return EVERYTHING
        if scope not in found:
            found.append(scope)
    return found[0] if len(found) == 1 else _JoinedScope(found)


EVERYTHING = Scope()


def are_rules(value: object) -> bool:
    """Return whether something that was read from a file may be the rules of a scope."""
    return isinstance(value, dict) and all(
        isinstance(path, str) and (levels is None or (type(levels) is int and levels >= 0))
        for path, levels in value.items()
    )


def describe_rules(rules: Rules) -> str:
    """Return words for people about the paths that rules name; what is always there is left out."""
    named = ", ".join(
        f"without {path}"
        if levels == 0
        else path + ("" if levels is None else f" ({levels} level{'s' if levels > 1 else ''})")
        for path, levels in sorted(rules.items())
        if path and path != IGNORE_FILE
    )
    return named or f"nothing but {IGNORE_FILE}"


def make_scope(paths: Iterable[str], levels: int | None = None) -> Scope:
    """Return a scope of some paths only; of none, everything."""
    rules: dict[str, int | None] = dict.fromkeys(paths, levels)
    return Scope({IGNORE_FILE: None} | rules if rules else None)
