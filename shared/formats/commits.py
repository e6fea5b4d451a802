"""Commits: canonical bytes, hash and rules. Pure."""

from dits.repo.v1.manifest_pb2 import CommitContent, Signer

from shared.formats.canonical import (
    FormatError,
    at_most,
    check_hash,
    check_line,
    content_hash,
    parse_canonical,
)
from shared.formats.text import find_prose_fault

MAX_PARENTS = 64
MAX_MESSAGE_BYTES = 256 << 10
MAX_SIGNER_NAME = 255
MAX_EMAIL_BYTES = 254
MAX_OFFSET_MINUTES = 24 * 60 - 1
# The range of google.protobuf.Timestamp, years 1 to 9999, in microseconds.
MIN_TIME_US = -62_135_596_800_000_000
MAX_TIME_US = 253_402_300_799_999_999


def encode_commit(commit: CommitContent) -> bytes:
    """Return the canonical bytes of a valid commit."""
    check_commit(commit)
    return commit.SerializeToString(deterministic=True)


def decode_commit(content: bytes) -> CommitContent:
    """Return the commit that these canonical bytes hold."""
    commit = CommitContent()
    parse_canonical(commit, content, "commit")
    check_commit(commit)
    return commit


def commit_hash(commit: CommitContent) -> str:
    """Return the hash of a valid commit."""
    return content_hash(encode_commit(commit))


def check_commit(commit: CommitContent) -> None:
    """Raise FormatError unless the commit keeps every rule and has no unknown fields."""
    check_hash("tree_hash", commit.tree_hash)
    if len(commit.parent_hashes) > MAX_PARENTS:
        raise FormatError("parent_hashes", at_most("a commit", MAX_PARENTS, "parents"))
    for parent in commit.parent_hashes:
        check_hash("parent_hashes", parent)
    if len(set(commit.parent_hashes)) != len(commit.parent_hashes):
        raise FormatError("parent_hashes", "a parent is named twice")
    for role, signer, is_there in (
        ("author", commit.author, commit.HasField("author")),
        ("committer", commit.committer, commit.HasField("committer")),
    ):
        # Else a commit of empty signers would have two encodings.
        if not is_there:
            raise FormatError(role, "is missing")
        try:
            check_signer(signer)
        except FormatError as error:
            raise error.under(role) from None
    check_message(commit.message)
    known = CommitContent.FromString(commit.SerializeToString(deterministic=True))
    known.DiscardUnknownFields()
    if known.ByteSize() != commit.ByteSize():
        raise FormatError("commit", "has unknown fields")


def check_message(message: str) -> None:
    """Raise FormatError unless the text may be the message of a commit."""
    if fault := find_prose_fault(message):
        raise FormatError("message", fault)
    if len(message.encode()) > MAX_MESSAGE_BYTES:
        raise FormatError("message", at_most("a message", MAX_MESSAGE_BYTES, "bytes"))


def check_signer(signer: Signer) -> None:
    """Raise FormatError unless the person and moment keep every rule."""
    check_line("name", signer.name)
    if len(signer.name) > MAX_SIGNER_NAME:
        raise FormatError("name", at_most("a name", MAX_SIGNER_NAME, "characters"))
    check_line("email", signer.email)
    if len(signer.email.encode()) > MAX_EMAIL_BYTES:
        raise FormatError("email", at_most("an address", MAX_EMAIL_BYTES, "bytes"))
    if not MIN_TIME_US <= signer.time_us <= MAX_TIME_US:
        raise FormatError("time_us", "is not between the years 1 and 9999")
    if not -MAX_OFFSET_MINUTES <= signer.offset_minutes <= MAX_OFFSET_MINUTES:
        raise FormatError("offset_minutes", f"is not within {MAX_OFFSET_MINUTES} minutes of UTC")
