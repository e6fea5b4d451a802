"""The filter of a repository's chunks, against a set."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chunk.catalog.presence_filter import (
    PresenceFilter,
    pack_missing,
    read_keys,
    split_keys,
)
from shared.formats.bitmaps import mark_missing

_bytes = random.Random(1)
DIGESTS = [_bytes.randbytes(32) for _ in range(60)] + [bytes(32), b"\xff" * 32]


def make_filter(digests: list[bytes], version: int = 1) -> PresenceFilter:
    """A filter of these chunks."""
    keys = read_keys(b"".join(digest[:8] for digest in sorted(digests)))
    return PresenceFilter(keys, version, is_complete=True, valid_until=0)


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from(DIGESTS)),
    st.lists(st.lists(st.sampled_from(DIGESTS), max_size=9), max_size=9),
)
def test_it_answers_as_a_set_does(first: list[bytes], more: list[list[bytes]]) -> None:
    found, there = make_filter(first), set(first)
    for number, added in enumerate(more):
        found.add(split_keys(b"".join(added)), 2 + number)
        there |= set(added)
        if number % 2:
            found.mark_present(b"")
    assert found.version == 1 + len(more)
    present = found.mark_present(b"".join(DIGESTS))
    assert present.tolist() == [digest in there for digest in DIGESTS]
    assert pack_missing(present) == mark_missing(DIGESTS, there)


def test_additions_count_in_the_order_of_their_transactions() -> None:
    found = make_filter(DIGESTS[:1], version=7)
    for number, version in ((1, 9), (2, 10), (3, 7)):
        found.add(split_keys(DIGESTS[number]), version)
    assert found.version == 7
    assert found.mark_present(b"".join(DIGESTS[:5])).tolist() == [True] + [False] * 4
    found.add(split_keys(DIGESTS[4]), 8)
    assert found.version == 10
    # What has come from version 7 was there when it was built.
    assert found.mark_present(b"".join(DIGESTS[:5])).tolist() == [True] * 3 + [False, True]


def test_an_addition_that_never_comes_is_not_waited_for_for_ever() -> None:
    found = make_filter([], version=1)
    for version in range(3, 100):
        found.add(split_keys(DIGESTS[0]), version)
    assert len(found._early) <= 32
    assert found.version == 1
    assert not np.any(found.mark_present(DIGESTS[0]))
