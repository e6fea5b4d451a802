"""Rules of locks that need no database."""

from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.lock.locks import rules
from shared.errors import DomainError, lock_stale

ROOT = Path(__file__).parents[3]
parts = st.text("ab/\ud7ff\ue000\U0010ffff", min_size=1, max_size=6)


@given(parts, parts)
def test_the_end_of_a_prefix_is_behind_all_that_begins_so_and_nothing_else(
    prefix: str, path: str
) -> None:
    is_inside = prefix.encode() <= path.encode() < rules.compute_prefix_end(prefix).encode()
    assert is_inside == path.startswith(prefix)


@given(st.text("a\U0010ffff", max_size=256))
def test_the_end_of_no_prefix_is_behind_everything(path: str) -> None:
    assert path.encode() < rules.compute_prefix_end("").encode()


def test_the_service_reads_no_clock_of_its_own() -> None:
    forbidden = {"now", "utcnow", "today", "time", "time_ns", "localtime", "gmtime"}
    for source in sorted((ROOT / "services/lock").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in forbidden, f"{source.name}:{node.lineno}"


def test_stale_locks_are_listed() -> None:
    error = lock_stale(["a", "b"])
    assert isinstance(error, DomainError)
    assert error.metadata == {"count": "2", "lock_id": "a"}
