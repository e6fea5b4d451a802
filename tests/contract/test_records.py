"""The closed lists of audit actions and events: nothing is missing, and nothing is there without use.

What tests write is held against the lists when the suite of each test stops: `tests/support/records.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dits.common.v1.event_pb2 import Event, EventType

from migrations.files import discover
from shared.records.audit import AuditAction
from shared.records.events import NAMES, TYPES, payload_field
from tests.support.sql_text import called_functions, without_comments

ROOT = Path(__file__).parents[2]
PYTHON = {
    path: path.read_text()
    for folder in ("services", "shared/jobs", "shared/outbox")
    for path in (ROOT / folder).rglob("*.py")
}
SQL = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("services", "shared")
    for path in (ROOT / folder).rglob("*.sql")
} | {file.name: file.sql for file in discover().functions}


def test_audit_actions_are_in_order() -> None:
    names = [action.name for action in AuditAction]
    assert names == sorted(names)
    assert names == [action.value.upper().replace(".", "_") for action in AuditAction]


def test_the_proto_lists_the_audit_actions() -> None:
    proto = (ROOT / "protos/dits/auth/v1/audit_service.proto").read_text()
    comment = re.search(r"  // What was done; ((?:.|\n)*?)\n  string action = 6;", proto)
    assert comment is not None
    assert sorted(re.findall(r"`(\S+)`", comment[1])) == sorted(AuditAction)


@pytest.mark.parametrize("action", AuditAction)
def test_each_audit_action_is_written_somewhere(action: AuditAction) -> None:
    assert any(re.search(rf"AuditAction\.{action.name}\b", text) for text in PYTHON.values())


def test_audit_rows_are_written_by_the_library_alone() -> None:
    """Its parameter is the enum, so mypy sees every action that is written."""
    callers = {name for name, text in SQL.items() if called_functions(text, ["audit"])}
    assert callers == {"shared/records/audit.sql"}


def test_events_have_the_names_that_the_proto_says() -> None:
    assert set(NAMES) == set(EventType.values()) - {EventType.EVENT_TYPE_UNSPECIFIED}
    assert NAMES[EventType.EVENT_TYPE_PUSH] == "push"
    assert NAMES[EventType.EVENT_TYPE_LOCK_FORCE_RELEASED] == "lock.force_released"


def test_each_family_of_events_has_its_payload_and_each_payload_its_family() -> None:
    payloads = Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    assert {payload_field(event) for event in NAMES} == {field.name for field in payloads}


@pytest.mark.parametrize("event", NAMES, ids=NAMES.get)
def test_each_event_is_emitted_somewhere(event: EventType.ValueType) -> None:
    in_python = any(re.search(rf"\b{EventType.Name(event)}\b", text) for text in PYTHON.values())
    assert in_python or any(f"'{NAMES[event]}'" in text for text in SQL.values())


def test_sql_emits_no_event_that_is_not_in_the_list() -> None:
    families = "|".join({payload_field(event) for event in NAMES})
    named = {
        name
        for text in SQL.values()
        for name in re.findall(rf"'((?:{families})\.[a-z_]+)'", without_comments(text))
    }
    assert named
    assert named <= set(TYPES)
