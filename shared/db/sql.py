"""Loads named queries from the `.sql` file that stands beside a module.

A file is a list of statements, each under its name and a description:

    -- name: user_by_id
    -- One account, whatever its state.
    SELECT … FROM users WHERE id = $1;

    -- name: insert_chunks
    -- Adds chunks that are new.
    INSERT INTO chunks (hash, size, …) SELECT … FROM unnest(:hashes::text[], :sizes::int[], …) …;

Up to four parameters are numbered, more are named. The loader numbers names in the order of their
first use:

    await connection.fetchrow(Q.user_by_id, user_id)
    await connection.fetch(*Q.bind.insert_chunks(hashes=hashes, sizes=sizes, …))
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEAD = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)
# What may contain a colon or a dollar sign without being a parameter comes first.
_PARAMETER = re.compile(
    r"""
    '(?:[^']|'')*'
    | "[^"]*"
    | --[^\n]*
    | /\*.*?\*/
    | \$(?P<tag>[a-z_]\w*)?\$.*?\$(?(tag)(?P=tag))\$
    | ::
    | (?P<number>\$\d+)
    | (?<![\w\])]):(?P<name>[a-z]\w*)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        text: the SQL, its parameters numbered.
        parameters: their names, the first for $1; empty if the file numbers them itself.
    """

    text: str
    parameters: tuple[str, ...]

    @classmethod
    def parse(cls, source: str) -> Statement:
        """Returns a statement as PostgreSQL reads it. Raises ValueError if it mixes names and numbers."""
        found = list(_PARAMETER.finditer(source))
        names = tuple(dict.fromkeys(match["name"] for match in found if match["name"]))
        if names and any(match["number"] for match in found):
            raise ValueError("parameters are either all named or all numbered")
        numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
        text = _PARAMETER.sub(lambda match: numbers.get(match["name"], match[0]), source)
        return cls(text, names)

    def bind(self, **values: Any) -> tuple[Any, ...]:
        """Returns the text and the arguments in its order. Raises TypeError unless each has a value."""
        if values.keys() != set(self.parameters):
            wrong = sorted(values.keys() ^ set(self.parameters))
            raise TypeError(f"missing or unknown parameters: {', '.join(wrong)}")
        return (self.text, *(values[name] for name in self.parameters))


class Queries:
    """The statements of one file, by name: the text as an attribute, or bound to values by `bind`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: dict[str, Statement] = {}
        self.bind = Binder(self)
        parts = _HEAD.split(path.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in self.statements:
                raise ValueError(f"{path.name}: the query {name} stands there twice")
            if not body.lstrip().startswith("-- "):
                raise ValueError(f"{path.name}: the query {name} has no description")
            try:
                self.statements[name] = Statement.parse(body.strip().removesuffix(";"))
            except ValueError as error:
                raise ValueError(f"{path.name}: {name}: {error}") from None

    def statement(self, name: str) -> Statement:
        """Returns one statement. Raises AttributeError if the file does not have it."""
        try:
            return self.statements[name]
        except KeyError:
            raise AttributeError(f"{self.path.name} has no query {name}") from None

    def __getattr__(self, name: str) -> str:
        """Returns the text of a statement with numbered parameters."""
        statement = self.statement(name)
        if statement.parameters:
            raise AttributeError(
                f"{self.path.name}: {name} has named parameters: use Q.bind.{name}"
            )
        return statement.text


class Binder:
    """The statements with named parameters, as functions of their values."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def __getattr__(self, name: str) -> Callable[..., tuple[Any, ...]]:
        """Returns a function of values: the text and its arguments, for fetch, execute and the like."""
        return self._queries.statement(name).bind


def load(module_file: str) -> Queries:
    """Reads the twin of a module: `sql.load(__file__)` in `refs.py` reads `refs.sql`."""
    return Queries(Path(module_file).with_suffix(".sql"))
