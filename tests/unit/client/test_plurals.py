"""Sentences say 1 file and 2 files: a number stands before a plural only where it is never one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import dits_client

SOURCES = sorted(Path(dits_client.__file__).parent.rglob("*.py"))
PLURAL = re.compile(r" (?:more |other )?([a-z]+[^s]s)\b")
# Numbers that are never one, and words that are no plurals.
LIMITS = re.compile(
    r"[A-Z_.]*[A-Z]{2}[A-Z_]*|.*limits?\..*|limit|self\._limit|listed|regions|.* / .*"
)
SINGULAR = {"is", "was", "has", "needs", "names", "points", "differs", "ends"}
# Never one: they are above a limit, or it says that there are several.
ALLOWED = {
    "locks.py: {len(taken)} locks",
    "repository_rules.py: {count} files",
    "ssh_key.py: {len(named)} keys",
    "token.py: {len(found)} tokens",
}


def find_plurals(text: ast.JoinedStr) -> list[str]:
    """Numbers that a text puts before a plural, with the plural."""
    found = []
    for value, after in zip(text.values, text.values[1:], strict=False):
        if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
            number, plural = ast.unparse(value.value), PLURAL.match(str(after.value))
            is_number = value.format_spec is not None or re.search(r"len\(|count|number", number)
            if plural and plural[1] not in SINGULAR and is_number and not LIMITS.fullmatch(number):
                found.append(f"{{{number}}} {plural[1]}")
    return found


def test_plurals_are_made_by_format_count() -> None:
    found = {
        f"{path.name}: {plural}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr)
        for plural in find_plurals(node)
    }
    assert found == ALLOWED
