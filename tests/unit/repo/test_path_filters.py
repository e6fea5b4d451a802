"""Filters of changed paths."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from services.repo.history.path_filters import MATCHES_ALL, MAX_PATHS, PathMasks, encode_filter

NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


def with_directories(paths: set[str]) -> set[str]:
    """Paths, and the directories above them."""
    split = (path.split("/") for path in paths)
    return {"/".join(parts[:depth]) for parts in split for depth in range(1, len(parts) + 1)}


@given(st.sets(PATHS, max_size=60))
def test_what_was_changed_is_always_found(paths: set[str]) -> None:
    changed = with_directories(paths)
    stored = encode_filter(changed)
    assert PathMasks().select(stored, changed) == list(changed)
    assert PathMasks().select(stored, [f"{path}/" for path in changed]) == [
        f"{path}/" for path in changed
    ]


def test_what_was_not_changed_is_seldom_found() -> None:
    rng = random.Random(1)
    masks, hits, tries = PathMasks(), 0, 0
    for count in (1, 3, 10, 100, 500):
        stored = encode_filter(
            with_directories({f"a/b/{rng.random()}" for _ in range(count - 2 if count > 2 else 1)})
        )
        others = [f"a/b/{rng.random()}" for _ in range(4000)]
        hits += len(masks.select(stored, others))
        tries += len(others)
    assert hits / tries < 0.012


def test_the_format_stays() -> None:
    stored = encode_filter({"a", "a/b", "a/b/c"})
    assert stored.hex() == "01802b8304081540a0"
    assert encode_filter(set()) == b"\x01" + bytes(8)
    assert PathMasks().select(encode_filter(set()), ["a"]) == []


def test_filters_that_say_nothing() -> None:
    many = {str(number) for number in range(MAX_PATHS + 1)}
    assert encode_filter(many) == MATCHES_ALL
    assert len(encode_filter(set(list(many)[1:]))) == 1 + 640
    unknown = b"\x02" + bytes(8)
    for stored in (None, b"", MATCHES_ALL, unknown):
        assert PathMasks().select(stored, ["a", "b/c"]) == ["a", "b/c"]
