"""Loads named queries from the `.sql` file that stands beside a module.

A file is a list of statements, each under its name and a description:

    -- name: user_by_id
    -- One account, whatever its state.
    SELECT … FROM users WHERE id = $1;
"""

from __future__ import annotations

import re
from pathlib import Path

_HEAD = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


class Queries:
    """The statements of one file, by name, as attributes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: dict[str, str] = {}
        parts = _HEAD.split(path.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in self.statements:
                raise ValueError(f"{path.name}: the query {name} stands there twice")
            if not body.lstrip().startswith("-- "):
                raise ValueError(f"{path.name}: the query {name} has no description")
            self.statements[name] = body.strip().removesuffix(";")

    def __getattr__(self, name: str) -> str:
        """Returns one statement."""
        try:
            return self.statements[name]
        except KeyError:
            raise AttributeError(f"{self.path.name} has no query {name}") from None


def load(module_file: str) -> Queries:
    """Reads the twin of a module: `sql.load(__file__)` in `refs.py` reads `refs.sql`."""
    return Queries(Path(module_file).with_suffix(".sql"))
