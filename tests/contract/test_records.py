"""The closed lists of audit actions and events: nothing is missing, and nothing is there without use.

What tests write is held against the lists when the suite of each test stops: `tests/support/records.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrations.files import discover
from shared.records.audit import AuditAction
from tests.support.sql_text import called_functions

ROOT = Path(__file__).parents[2]
PYTHON = {path: path.read_text() for path in (ROOT / "services").rglob("*.py")}
SQL = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.sql")
} | {file.name: file.sql for file in discover().functions}


def test_audit_actions_are_in_order() -> None:
    names = [action.name for action in AuditAction]
    assert names == sorted(names)
    assert names == [action.value.upper().replace(".", "_") for action in AuditAction]


@pytest.mark.parametrize("action", AuditAction)
def test_each_audit_action_is_written_somewhere(action: AuditAction) -> None:
    assert any(re.search(rf"AuditAction\.{action.name}\b", text) for text in PYTHON.values())


def test_audit_rows_are_written_by_the_library_alone() -> None:
    """Its parameter is the enum, so mypy sees every action that is written."""
    callers = {name for name, text in SQL.items() if called_functions(text, ["audit"])}
    assert callers == {"shared/records/audit.sql"}
