"""Commits: what is encoded decodes to itself, and what breaks a rule is refused."""

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import CommitContent, Signer
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.formats.canonical import FormatError, content_hash
from shared.formats.commits import (
    MAX_MESSAGE_BYTES,
    MAX_OFFSET_MINUTES,
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
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    st.builds(
        Signer,
        name=st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=9),
        time_us=st.integers(MIN_TIME_US, MAX_TIME_US),
        offset_minutes=st.integers(-MAX_OFFSET_MINUTES, MAX_OFFSET_MINUTES),
    ),
)
def test_commit_survives_the_round_trip(parents: list[bytes], message: str, author: Signer) -> None:
    commit = _commit(parent_hashes=parents, message=message, author=author)
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
        (_commit(committer=Signer(name="x" * 256)), "committer.name"),
        (_commit(author=Signer(name="a\0b")), "author.name"),
        (_commit(author=Signer(name="a", email="x" * 255)), "author.email"),
        (_commit(author=Signer(name="a", time_us=1 << 62)), "author.time_us"),
        (_commit(author=Signer(offset_minutes=1440)), "author.offset_minutes"),
        (_commit(committer=Signer(offset_minutes=-1440)), "committer.offset_minutes"),
        (_commit(message="x" * (MAX_MESSAGE_BYTES + 1)), "message"),
        (_commit(message="\u00e9" * (MAX_MESSAGE_BYTES // 2) + "x"), "message"),
        (_commit(message="\0"), "message"),
        (_commit(message="clear \x1b[2J"), "message"),
        (_commit(author=Signer(name="a\nb")), "author.name"),
        (_commit(author=Signer(email="a\u202eb")), "author.email"),
        (CommitContent(tree_hash=ONE, committer=Signer()), "author"),
        (CommitContent(tree_hash=ONE, author=Signer()), "committer"),
        (CommitContent.FromString(_commit().SerializeToString() + b"\x40\x01"), "commit"),
    ],
)
def test_bad_commits_are_refused(commit: CommitContent, field: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_commit(commit)
    assert caught.value.field == field


def test_the_offset_is_part_of_the_hash() -> None:
    hashes = {
        commit_hash(_commit(author=Signer(name="a", offset_minutes=offset)))
        for offset in (-MAX_OFFSET_MINUTES, -60, 0, 60, MAX_OFFSET_MINUTES)
    }
    assert len(hashes) == 5


def test_names_may_be_empty_and_messages_long() -> None:
    check_commit(_commit(author=Signer(), committer=Signer(), message="x" * MAX_MESSAGE_BYTES))
