"""What the text of SQL files says, for tests that compare files with each other or with a database."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FUNCTION = re.compile(
    r"^CREATE (?:OR REPLACE )?FUNCTION (\w+)\(.*?\bAS \$\$(.*?)\$\$", re.MULTILINE | re.DOTALL
)
_VIEW = re.compile(r"^CREATE VIEW (\w+) AS\n(.*?);$", re.MULTILINE | re.DOTALL)
_WRITE = re.compile(
    r"\b(?:INSERT\s+INTO|MERGE\s+INTO|DELETE\s+FROM|TRUNCATE"
    r"|(?<!FOR NO KEY )(?<!FOR )(?<!DO )UPDATE)\s+(\w+)",
    re.IGNORECASE,
)
_NOT_A_TABLE = {"NOWAIT", "OF", "ON", "OR", "SET", "SKIP"}
_SHAPE = re.compile(
    r"\b(?:CREATE|ALTER|DROP)\s+TABLE\s+(\w+)"
    r"|\b(?:INDEX|TRIGGER)\b[^;()]*\bON\s+(\w+)",
)


def without_comments(sql: str) -> str:
    """The text without what stands behind two dashes."""
    return re.sub(r"--.*", "", sql)


def defined_functions(sql: str) -> list[tuple[str, str]]:
    """Names and bodies of the functions that a file creates."""
    return [(match[1], match[2]) for match in _FUNCTION.finditer(sql)]


def defined_views(sql: str) -> list[tuple[str, str]]:
    """Names and queries of the views that a file creates."""
    return [(match[1], match[2]) for match in _VIEW.finditer(sql)]


def named_relations(sql: str, names: Iterable[str]) -> set[str]:
    """Those of the tables or views that a text names anywhere but in strings and behind a dot."""
    code = re.sub(r"'[^']*'", "''", without_comments(sql))
    words = set(re.findall(r"(?<![.\w])\w+", code))
    return words.intersection(names)


def called_functions(sql: str, names: Iterable[str]) -> set[str]:
    """Those of the functions that a text names in any way but by creating them."""
    code = re.sub(r"CREATE (?:OR REPLACE )?FUNCTION \w+", "", without_comments(sql))
    return {name for name in names if re.search(rf"\b{name}\s*\(", code)}


def written_tables(sql: str) -> set[str]:
    """Tables that a text writes rows of."""
    return {
        table
        for table in _WRITE.findall(without_comments(sql))
        if table.upper() not in _NOT_A_TABLE
    }


def shaped_tables(sql: str) -> set[str]:
    """Tables that a text creates or drops, or gives columns, constraints, indexes or triggers."""
    found = _SHAPE.findall(without_comments(sql))
    return {table or other for table, other in found}
