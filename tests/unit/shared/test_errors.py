"""Errors on the wire: never more than clients take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import (
    MAX_MESSAGE_BYTES,
    MAX_STATUS_BYTES,
    DomainError,
    Reason,
    invalid,
    not_found,
    precondition,
)

texts = st.one_of(st.text(max_size=50), st.sampled_from(["x" * 9_000, "ä" * 700, "🎬" * 2_000]))


@given(st.dictionaries(st.text("abc", max_size=3), texts), texts, st.lists(st.tuples(texts, texts)))
def test_every_status_is_small_enough(
    metadata: dict[str, str], message: str, violations: list[tuple[str, str]]
) -> None:
    held = Reason.ERROR_REASON_LOCK_HELD
    for error in (
        precondition(held, message, metadata, violations),
        DomainError(held, message, metadata=metadata),
        invalid("path", message),
        not_found("revision", message),
    ):
        assert error.status().ByteSize() <= MAX_STATUS_BYTES
        assert len(error.message.encode()) <= MAX_MESSAGE_BYTES


def test_what_fits_is_left_alone() -> None:
    error = precondition(
        Reason.ERROR_REASON_LOCK_HELD, "held", {"path": "a" * 1024}, [("a", "b"), ("c", "d")]
    )
    assert error.metadata == {"path": "a" * 1024}
    assert len(error.status().details) == 2
