"""What the stored formats share: hashes, canonical bytes, and the error for what breaks a rule."""

from blake3 import blake3
from google.protobuf.message import DecodeError, Message

from shared.formats.text import find_line_fault

HASH_BYTES = 32
# The hash of an empty file, and of the manifest of an empty tree.
EMPTY_HASH = blake3(b"").digest()


class FormatError(ValueError):
    """Bytes or a message that break a rule of the format: which field, and how."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description

    def under(self, parent: str) -> "FormatError":
        """Return the same error, of a field inside the parent."""
        return FormatError(".".join((parent, self.field)), self.description)

    def of(self, name: str) -> "FormatError":
        """Return the same error, of the entry of this name."""
        return FormatError(self.field, f"{self.description} (of {name!a})")


def content_hash(content: bytes) -> str:
    """Return the BLAKE3 hash of stored bytes as 64 lower-case hexadecimal digits."""
    return blake3(content).hexdigest()


def split_hashes(packed: bytes) -> list[bytes]:
    """Return the single hashes, 32 bytes each, of a packed list."""
    return [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]


def parse_canonical(message: Message, content: bytes, field: str) -> None:
    """Fill the message from bytes that must be exactly its canonical form."""
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise FormatError(field, "is not a message of its type") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != content:
        raise FormatError(field, "is not in canonical form")


def check_hash(field: str, digest: bytes) -> None:
    """Raise FormatError unless the bytes may be a hash."""
    if len(digest) != HASH_BYTES:
        raise FormatError(field, f"is not {HASH_BYTES} bytes")


def check_line(field: str, text: str) -> None:
    """Raise FormatError unless the text may be a name, or another text of one line."""
    if fault := find_line_fault(text):
        raise FormatError(field, fault)


def at_most(subject: str, limit: int, unit: str) -> str:
    """Return the description of a limit that is exceeded."""
    return f"{subject} has at most {limit} {unit}"
