"""Errors on the wire: never more than clients take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import DomainError, Reason, invalid_field, not_found
from shared.errors.catalog import MAX_MESSAGE_BYTES, MAX_STATUS_BYTES, violations

texts = st.one_of(st.text(max_size=50), st.sampled_from(["x" * 9_000, "ä" * 700, "🎬" * 2_000]))


@given(st.dictionaries(st.text("abc", max_size=3), texts), texts, st.lists(st.tuples(texts, texts)))
def test_every_status_is_small_enough(
    metadata: dict[str, str], message: str, listed: list[tuple[str, str]]
) -> None:
    held = Reason.ERROR_REASON_LOCK_HELD
    for error in (
        DomainError(held, message, metadata=metadata, detail=violations(held, listed)),
        DomainError(held, message, metadata=metadata),
        invalid_field("path", message),
        not_found("revision", message),
    ):
        assert error.status().ByteSize() <= MAX_STATUS_BYTES
        assert len(error.message.encode()) <= MAX_MESSAGE_BYTES


def test_what_fits_is_left_alone() -> None:
    held = Reason.ERROR_REASON_LOCK_HELD
    detail = violations(held, [("a", "b"), ("c", "d")])
    error = DomainError(held, "held", metadata={"path": "a" * 1024}, detail=detail)
    assert error.metadata == {"path": "a" * 1024}
    assert len(error.status().details) == 2


def test_what_is_not_found_is_said_in_words() -> None:
    assert not_found("api_token", "ci").message == "api token 'ci' not found"
    assert not_found("invitation", "").message == "invitation not found"
