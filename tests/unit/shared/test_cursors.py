"""Cursors of Watch."""

from __future__ import annotations

from shared.outbox.cursors import CursorSeal
from shared.outbox.stored_event import EventPosition
from shared.runtime.server_key import ServerKey


def test_no_cursor_begins_with_a_dash() -> None:
    """A command would take it for an option."""
    seal = CursorSeal(ServerKey(b"k" * 32), b"stream")
    positions = [EventPosition("6f", str(number), number) for number in range(500)]
    cursors = [seal.write_cursor(position) for position in positions]
    assert not any(cursor.startswith("-") for cursor in cursors)
    assert [seal.read_cursor(cursor) for cursor in cursors] == positions
