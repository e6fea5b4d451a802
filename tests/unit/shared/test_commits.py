"""Commits: what is encoded decodes to itself, and what breaks a rule is refused."""

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import CommitContent, Signer
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.formats.canonical import FormatError, content_hash
from shared.formats.commits import (
    MAX_TIME_US,
    MIN_TIME_US,
    check_commit,
    commit_hash,
    decode_commit,
    encode_commit,
)

ONE = blake3(b"x").digest()
digests = st.binary(min_size=32, max_size=32)


def _commit(**fields: object) -> CommitContent:
    signer = Signer(name="Ada", email="ada@example.org", time_us=1_700_000_000_000_001)
    values = {"tree_hash": ONE, "author": signer, "committer": signer, "message": "m"}
    return CommitContent(**{**values, **fields})  # type: ignore[arg-type]


@settings(max_examples=50)
@given(
    st.lists(digests, unique=True, max_size=4),
    st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    st.integers(MIN_TIME_US, MAX_TIME_US),
)
def test_commit_survives_the_round_trip(parents: list[bytes], message: str, time: int) -> None:
    commit = _commit(parent_hashes=parents, message=message, author=Signer(name="A", time_us=time))
    content = encode_commit(commit)
    assert decode_commit(content) == commit
    assert commit_hash(commit) == content_hash(content)


@pytest.mark.parametrize(
    ("commit", "field"),
    [
        (_commit(tree_hash=b""), "tree_hash"),
        (_commit(parent_hashes=[b"short"]), "parent_hashes"),
        (_commit(parent_hashes=[ONE, ONE]), "parent_hashes"),
        (_commit(parent_hashes=[bytes([i]) * 32 for i in range(65)]), "parent_hashes"),
        (_commit(author=Signer()), "author.name"),
        (_commit(committer=Signer(name="x" * 256)), "committer.name"),
        (_commit(author=Signer(name="a\0b")), "author.name"),
        (_commit(author=Signer(name="a", email="x" * 255)), "author.email"),
        (_commit(author=Signer(name="a", time_us=1 << 62)), "author.time_us"),
        (_commit(message="x" * 65537), "message"),
        (_commit(message="\0"), "message"),
        (CommitContent.FromString(_commit().SerializeToString() + b"\x40\x01"), "commit"),
    ],
)
def test_bad_commits_are_refused(commit: CommitContent, field: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_commit(commit)
    assert caught.value.field == field
