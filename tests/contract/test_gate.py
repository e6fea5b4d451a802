"""Whoever locks the row of a repository goes through its gate before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.support.sql_text import without_comments

ROOT = Path(__file__).parents[2]
_GATE = re.compile(r"\b(share|close)_repository\([^()]*\)")
_INNERMOST = re.compile(r"\(([^()]*)\)")
_READS = re.compile(r"\bFROM\s+(repositories|repository_identities)\b", re.IGNORECASE)
_LOCKS = re.compile(r"\bFOR\s+(UPDATE|NO\s+KEY\s+UPDATE|SHARE|KEY\s+SHARE)\b", re.IGNORECASE)


def test_each_lock_of_a_repository_is_behind_its_gate() -> None:
    """Row locks are not fair: beside those who share one, nobody who wants it alone gets it."""
    folders = [ROOT / name for name in ("services", "shared", "migrations/functions")]
    files = sorted(chain.from_iterable(folder.rglob("*.sql") for folder in folders))
    locking = [
        (file.name, query)
        for file in files
        for statement in without_comments(file.read_text(encoding="utf-8")).split(";")
        for query in split_queries(_GATE.sub("GATE", statement))
        if _READS.search(query) and _LOCKS.search(query)
    ]
    assert len(locking) > 10
    assert [each for each in locking if "GATE" not in each[1]] == []


def split_queries(statement: str) -> Iterator[str]:
    """The queries of a statement, each without those in it."""
    while found := _INNERMOST.search(statement):
        yield found[1]
        statement = _INNERMOST.sub("", statement, count=1)
    yield statement
