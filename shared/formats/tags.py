"""Annotated tags: canonical bytes, hash and rules. Pure."""

from dits.repo.v1.manifest_pb2 import TagContent

from shared.formats.canonical import (
    FormatError,
    check_hash,
    check_line,
    content_hash,
    parse_canonical,
)
from shared.formats.commits import check_message, check_signer

MAX_NAME_BYTES = 256


def encode_tag(tag: TagContent) -> bytes:
    """Return the canonical bytes of a valid tag."""
    check_tag(tag)
    return tag.SerializeToString(deterministic=True)


def decode_tag(content: bytes) -> TagContent:
    """Return the tag that these canonical bytes hold."""
    tag = TagContent()
    parse_canonical(tag, content, "tag")
    check_tag(tag)
    return tag


def tag_hash(tag: TagContent) -> str:
    """Return the hash of a valid tag."""
    return content_hash(encode_tag(tag))


def check_tag(tag: TagContent) -> None:
    """Raise FormatError unless the tag keeps every rule and has no unknown fields."""
    check_hash("commit_hash", tag.commit_hash)
    check_line("name", tag.name)
    if not 1 <= len(tag.name.encode()) <= MAX_NAME_BYTES:
        raise FormatError("name", f"must have 1 to {MAX_NAME_BYTES} bytes")
    # Else a tag of an empty tagger would have two encodings.
    if not tag.HasField("tagger"):
        raise FormatError("tagger", "is missing")
    try:
        check_signer(tag.tagger)
    except FormatError as error:
        raise error.under("tagger") from None
    check_message(tag.message)
    known = TagContent.FromString(tag.SerializeToString(deterministic=True))
    known.DiscardUnknownFields()
    if known.ByteSize() != tag.ByteSize():
        raise FormatError("tag", "has unknown fields")
