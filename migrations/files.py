"""The SQL files of this package: numbered steps, and functions, which are applied again when they change.

A step is `<number>_<name>.sql`; numbers run 1, 2, 3, ... without gaps and are the versions that
`schema_migrations` records. It begins with a comment whose first sentence is its description, and is never
edited once it was applied anywhere. A file of functions is
`functions/<owner>/<name>.sql`; it may be edited at any time, because it only says CREATE OR REPLACE.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import takewhile

_STEP_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class MigrationError(Exception):
    """The database and the files of this program do not fit; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Step:
    """A numbered file."""

    version: int
    name: str
    description: str
    sql: str
    checksum: str

    @classmethod
    def parse(cls, name: str, text: str) -> Step:
        """Make a step of a file's name and text; raises MigrationError if either is malformed."""
        match = _STEP_NAME.fullmatch(name)
        if match is None:
            raise MigrationError(f"{name} is not named like 0001_initial_schema.sql.")
        sql = _unify_line_ends(text)
        return cls(int(match[1]), name, _describe(name, sql), sql, _checksum(sql))


@dataclass(frozen=True, slots=True)
class FunctionFile:
    """A file of functions; its name is the path below this package."""

    name: str
    sql: str
    checksum: str

    @classmethod
    def parse(cls, name: str, text: str) -> FunctionFile:
        """Make one of a file's path and text."""
        sql = _unify_line_ends(text)
        return cls(name, sql, _checksum(sql))


@dataclass(frozen=True, slots=True)
class Files:
    """What a program brings. Functions fit the schema after the last step."""

    steps: tuple[Step, ...]
    functions: tuple[FunctionFile, ...] = ()


def discover() -> Files:
    """Return the files of this program in order."""
    package = resources.files(__package__)
    steps = (
        Step.parse(file.name, file.read_text("utf-8"))
        for file in package.iterdir()
        if file.name[0].isdigit() and file.name.endswith(".sql")
    )
    return Files(sort_steps(steps), tuple(_functions(package / "functions")))


def sort_steps(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps by version; raises MigrationError unless the versions are 1, 2, 3, ..."""
    result = sorted(steps, key=lambda step: (step.version, step.name))
    for expected, step in enumerate(result, start=1):
        if step.version != expected:
            raise MigrationError(f"{step.name} stands where migration {expected} is expected.")
    return tuple(result)


def _functions(folder: Traversable) -> Iterable[FunctionFile]:
    for owner in sorted(folder.iterdir(), key=lambda item: item.name):
        for file in sorted(owner.iterdir(), key=lambda item: item.name):
            if file.name.endswith(".sql"):
                name = f"functions/{owner.name}/{file.name}"
                yield FunctionFile.parse(name, file.read_text("utf-8"))


def _unify_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n")


def _describe(name: str, sql: str) -> str:
    opening = takewhile(lambda line: line.startswith("-- "), sql.splitlines())
    description = " ".join(line[3:] for line in opening).partition(". ")[0].rstrip(".")
    if not description:
        raise MigrationError(f"{name} does not begin with a comment that describes it.")
    return description


def _checksum(sql: str) -> str:
    return f"sha256:{hashlib.sha256(sql.encode()).hexdigest()}"
