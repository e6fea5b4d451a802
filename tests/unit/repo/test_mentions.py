"""Which names a message of a commit mentions."""

from __future__ import annotations

import pytest
from dits.repo.v1.manifest_pb2 import CommitContent, Signer
from hypothesis import given
from hypothesis import strategies as st

from services.repo.history.mentions import MAX_MENTIONS, MAX_OF_COMMIT, find_mentions


def names_in(message: str) -> list[str]:
    found = find_mentions({"a": CommitContent(message=message)}, ["a"])
    return [name for mention in found for name in mention.usernames]


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("@ada", ["ada"]),
        ("for @ada, (@Bob-2) and @ADA: thanks", ["ada", "Bob-2"]),
        ("see @ada.", ["ada"]),
        ("@ada's\n@bob", ["ada", "bob"]),
        ("mail ada@example.com or x+@ada, a/@ada, @@ada", []),
        ("@ada@example.com, @ada/x", []),
        ("@ad @-ada @ada_b @" + "a" * 40, []),
        ("@ada- @ada--b", ["ada"]),
        ("@" + "a" * 39, ["a" * 39]),
        ("@", []),
    ],
)
def test_what_a_mention_is(message: str, names: list[str]) -> None:
    assert names_in(message) == names


def test_mentions_have_limits() -> None:
    many = " ".join(f"@user{i}" for i in range(50))
    commits = {str(i): CommitContent(message=many) for i in range(200)}
    found = find_mentions(commits, commits)
    assert sum(len(mention.usernames) for mention in found) == MAX_MENTIONS
    assert {len(mention.usernames) for mention in found} == {MAX_OF_COMMIT}
    single = {str(i): CommitContent(message="@ada") for i in range(200)}
    assert len(find_mentions(single, single)) == 100


def test_only_new_commits_mention_and_tell_their_title_and_author() -> None:
    commit = CommitContent(
        message=f"\n {'t' * 300}\n@ada", author=Signer(name="Bob", email="bob@example.com")
    )
    [found] = find_mentions({"a": commit, "b": commit}, ["b"])
    assert (found.commit, found.title, found.author_email) == ("b", "t" * 200, "bob@example.com")


@given(st.text("@a-/.\n b", max_size=60))
def test_names_are_usernames(message: str) -> None:
    for name in names_in(message):
        assert 3 <= len(name) <= 39
        assert f"@{name}" in message
