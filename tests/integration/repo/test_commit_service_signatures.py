"""Signatures of commits and tags: judged when they come, and again when keys change."""

from __future__ import annotations

import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1 import signature_pb2 as spb
from dits.repo.v1.ref_protection_pb2 import BranchProtection
from dits.repo.v1.signature_pb2 import Signature, SignatureVerdict
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.signatures import make_commit, push_signed, sign_commit, sign_tag
from tests.support.ssh import TAKEN, make_key, needs_ssh, sign
from tests.support.ssh_accounts import add_key
from tests.support.tags import Tags, annotate, move_tag
from tests.support.trees import push

pytestmark = needs_ssh

VERIFY = "UPDATE users SET email_verified = TRUE"


async def read_signature(branches: Branches, commit: str) -> Signature:
    """Returns what GetCommit says of a signature."""
    request = pb.GetCommitRequest(repository=branches.repository.id, revision=commit)
    answer = await branches.api.commits.GetCommit(request, metadata=branches.who.auth)
    return answer.commit.signature


@pytest.mark.parametrize("kind", TAKEN)
async def test_a_signed_commit_is_good(api: Api, kind: str) -> None:
    branches = await Branches.open(api)
    await api.fetch(VERIFY)
    key = make_key(kind)
    added = await add_key(api, branches.who, key)
    tree, made = await make_commit(branches, "1")
    armored = sign_commit(key, made)
    for _ in range(2):
        name = await push_signed(branches, made, [armored], tree)
    assert await read_signature(branches, name) == Signature(
        verdict=spb.SIGNATURE_VERDICT_GOOD, key_fingerprint=added.fingerprint, armored=armored
    )
    request = pb.ListCommitsRequest(repository=branches.repository.id)
    listed = await api.commits.ListCommits(request, metadata=branches.who.auth)
    assert listed.commits[0].signature == Signature(
        verdict=spb.SIGNATURE_VERDICT_GOOD, key_fingerprint=added.fingerprint
    )


async def test_the_verdict_says_what_is_wrong(api: Api) -> None:
    branches = await Branches.open(api)
    key, other = make_key("ed25519"), make_key("ed25519", 1)
    await add_key(api, branches.who, key)
    tree, made = await make_commit(branches, "1")
    stranger = commit_hash(made)
    for state, signature, verdict in (
        ("", sign(key, b"something else", "dits-commit-v1"), "BAD"),
        ("", sign_commit(key, made, "dits-tag-v1"), "WRONG_NAMESPACE"),
        ("", sign_commit(other, made), "UNKNOWN_KEY"),
        ("", sign_commit(key, made), "UNVERIFIED_ADDRESS"),
        (
            "email_verified = TRUE, email = 'eve@example.com'",
            sign_commit(key, made),
            "OTHER_ADDRESS",
        ),
    ):
        if state:
            await api.fetch(f"UPDATE users SET {state}")
        # One that is not good does not take the place of another: each is the first.
        await api.fetch(
            """UPDATE commits SET signature = NULL, signature_key = NULL, signature_email = NULL,
               signature_verdict = NULL, signature_verified = NULL"""
        )
        await push_signed(branches, made, [signature], tree)
        said = await read_signature(branches, stranger)
        assert SignatureVerdict.Name(said.verdict) == f"SIGNATURE_VERDICT_{verdict}"
    assert not await api.value("SELECT signature_verified FROM commits")


async def test_a_good_signature_takes_the_place_of_another_and_stays(api: Api) -> None:
    branches = await Branches.open(api)
    await api.fetch(VERIFY)
    key, other = make_key("ed25519"), make_key("ed25519", 1)
    await add_key(api, branches.who, key)
    tree, made = await make_commit(branches, "1")
    name = await push_signed(branches, made, [], tree)
    assert await read_signature(branches, name) == Signature()
    for signer, verdict in (
        (other, spb.SIGNATURE_VERDICT_UNKNOWN_KEY),
        (key, spb.SIGNATURE_VERDICT_GOOD),
        (other, spb.SIGNATURE_VERDICT_GOOD),
    ):
        await push_signed(branches, made, [sign_commit(signer, made)])
        assert (await read_signature(branches, name)).verdict == verdict


async def test_what_is_no_signature_is_refused(api: Api) -> None:
    branches = await Branches.open(api)
    tree, made = await make_commit(branches, "1")
    good = sign_commit(make_key("ed25519"), made)
    for signatures in (["x"], [""], ["x" * 20_000], [good, good], [good.replace("SSH", "PGP")]):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await push_signed(branches, made, signatures, tree)
    stray = pb.PushCommits(
        commits=[made], signatures=[pb.CommitSignature(commit_hash=b"x" * 32, armored=good)]
    )
    requests = [
        pb.PushRequest(header=pb.PushHeader(repository=branches.repository.id)),
        pb.PushRequest(commits=stray),
    ]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.commits.Push(iter(requests), metadata=branches.who.auth)
    assert await api.value("SELECT count(*) FROM commits") == 0


async def test_a_branch_that_takes_good_signatures_alone(api: Api) -> None:
    branches = await Branches.open(api)
    await api.fetch(VERIFY)
    key = make_key("ed25519")
    await add_key(api, branches.who, key)
    first = await branches.save("1")
    await branches.protect(BranchProtection(require_signatures=True))
    tree, made = await make_commit(branches, "2", first)
    for signatures in ([], [sign_commit(make_key("ed25519", 1), made)]):
        with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
            await push_signed(branches, made, signatures, tree, parent=first)
        assert refusal.metadata == {
            "branch": "main",
            "rule": "signatures",
            "commit": commit_hash(made),
        }
    await push_signed(branches, made, [sign_commit(key, made)], tree, parent=first)


async def test_a_signed_tag(api: Api) -> None:
    branches = await Branches.open(api)
    await api.fetch(VERIFY)
    key = make_key("ed25519")
    added = await add_key(api, branches.who, key)
    tags, head = Tags(branches, branches.who), await branches.save("1")
    said = annotate()
    said.tagger.email = f"{branches.who.username}@example.com"
    signed = sign_tag(key, "v1", head, said)
    for _ in range(2):
        made = await tags.create("v1", head, signed)
    assert made.annotation == signed
    assert (made.signature.verdict, made.signature.key_fingerprint) == (
        spb.SIGNATURE_VERDICT_GOOD,
        added.fingerprint,
    )
    listed = (await tags.list_all())[0]
    assert (listed.signature.verdict, listed.annotation.signature) == (
        spb.SIGNATURE_VERDICT_GOOD,
        "",
    )
    # The signature of one tag is none of another; of a commit's namespace it is none at all.
    moves = [move_tag("v2", "", head, signed)]
    await push(api, branches.who, branches.repository, [], moves)
    assert (await tags.get("v2")).signature.verdict == spb.SIGNATURE_VERDICT_BAD
    signed.signature = sign(key, b"", "dits-commit-v1")
    assert (
        await tags.create("v3", head, signed)
    ).signature.verdict == spb.SIGNATURE_VERDICT_WRONG_NAMESPACE
    signed.signature = "x"
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await tags.create("v4", head, signed)
