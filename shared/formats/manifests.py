"""The stored formats: canonical manifests, recipes and commits, and their names.

Pure: it knows bytes and messages, no network and no database. Client and server both use it, so
what one writes the other accepts.
"""

import struct
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import CommitContent, Entry, File, Manifest, Recipe, Signer
from google.protobuf.message import DecodeError, Message

HASH_BYTES = 32
MAX_MANIFEST_BYTES = 16 << 20
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024
MAX_TARGET_BYTES = 4096
MAX_CHUNK_BYTES = 16 << 20
MAX_INLINE_CHUNKS = 1024
RECIPE_CHUNKS = 16_384
MAX_PARENTS = 64
MAX_MESSAGE_BYTES = 64 << 10
MAX_SIGNER_NAME = 255
MAX_EMAIL_BYTES = 254
MAX_MODE = 0o777
# The range of google.protobuf.Timestamp, years 1 to 9999, in microseconds.
MIN_TIME_US = -62_135_596_800_000_000
MAX_TIME_US = 253_402_300_799_999_999

_U32 = struct.Struct(">I")

# The name of an empty file, and of the manifest of an empty tree.
EMPTY_HASH = blake3(b"").digest()
EMPTY_NAME = EMPTY_HASH.hex()


class ManifestError(ValueError):
    """Bytes or a message that break a rule of the format: which field, and how."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description

    def under(self, parent: str) -> "ManifestError":
        """Return the same error, of a field inside the parent."""
        return ManifestError(".".join((parent, self.field)), self.description)


def name(content: bytes) -> str:
    """Return the name of stored bytes: their BLAKE3 hash as 64 lower-case hexadecimal digits."""
    return blake3(content).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """Return the canonical bytes of a manifest whose entries are sorted and valid already."""
    content = manifest.SerializeToString(deterministic=True)
    if len(content) > MAX_MANIFEST_BYTES:
        raise ManifestError("entries", _limit("the directory", MAX_MANIFEST_BYTES, "bytes"))
    return content


def decode(content: bytes) -> Manifest:
    """Return the manifest that these canonical bytes hold; the rules of every entry are checked."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise ManifestError("manifest", _limit("a manifest", MAX_MANIFEST_BYTES, "bytes"))
    manifest = Manifest()
    _parse(manifest, content, "manifest")
    previous = ""
    for index, entry in enumerate(manifest.entries):
        try:
            previous = check_entry(entry, previous)
        except ManifestError as error:
            parent = f"entries[{index}]"
            raise error.under(parent) from None
    return manifest


def encode_recipe(recipe: Recipe) -> bytes:
    """Return the canonical bytes of a recipe, which are stored as a chunk."""
    return recipe.SerializeToString(deterministic=True)


def decode_recipe(content: bytes) -> Recipe:
    """Return the recipe that these canonical bytes hold."""
    recipe = Recipe()
    _parse(recipe, content, "recipe")
    count = len(recipe.chunk_sizes)
    if not 1 <= count <= RECIPE_CHUNKS:
        raise ManifestError("chunk_sizes", f"a recipe has 1 to {RECIPE_CHUNKS} chunks")
    _check_chunks(recipe.chunk_hashes, recipe.chunk_sizes[:])
    return recipe


def encode_commit(commit: CommitContent) -> bytes:
    """Return the canonical bytes of a valid commit."""
    check_commit(commit)
    return commit.SerializeToString(deterministic=True)


def decode_commit(content: bytes) -> CommitContent:
    """Return the commit that these canonical bytes hold."""
    commit = CommitContent()
    _parse(commit, content, "commit")
    check_commit(commit)
    return commit


def commit_name(commit: CommitContent) -> str:
    """Return the name of a valid commit."""
    return name(encode_commit(commit))


def check_commit(commit: CommitContent) -> None:
    """Raise ManifestError unless the commit keeps every rule and has no unknown fields."""
    _check_hash("tree_hash", commit.tree_hash)
    if len(commit.parent_hashes) > MAX_PARENTS:
        raise ManifestError("parent_hashes", _limit("a commit", MAX_PARENTS, "parents"))
    for parent in commit.parent_hashes:
        _check_hash("parent_hashes", parent)
    if len(set(commit.parent_hashes)) != len(commit.parent_hashes):
        raise ManifestError("parent_hashes", "a parent is named twice")
    for role, signer in (("author", commit.author), ("committer", commit.committer)):
        try:
            _check_signer(signer)
        except ManifestError as error:
            raise error.under(role) from None
    _check_text("message", commit.message)
    if len(commit.message.encode()) > MAX_MESSAGE_BYTES:
        raise ManifestError("message", _limit("a message", MAX_MESSAGE_BYTES, "bytes"))
    known = CommitContent.FromString(commit.SerializeToString(deterministic=True))
    known.DiscardUnknownFields()
    if known.ByteSize() != commit.ByteSize():
        raise ManifestError("commit", "has unknown fields")


def check_entry(entry: Entry, previous: str = "") -> str:
    """Return the entry's name; raise ManifestError if it breaks a rule.

    `previous` is the name of the entry before it in the same directory.
    """
    component = entry.name
    check_name(component)
    # The order of code points is the order of their UTF-8 bytes.
    if component <= previous:
        raise ManifestError("name", "is not in order, or there twice")
    # By far the commonest kind first: a manifest may have 100,000 files.
    if entry.HasField("file"):
        _check_file(entry.file)
    elif entry.HasField("directory"):
        digest = entry.directory.manifest_hash
        _check_hash("directory.manifest_hash", digest)
        if digest == EMPTY_HASH:
            raise ManifestError("directory.manifest_hash", "an empty directory is not stored")
    elif entry.HasField("symlink"):
        target = entry.symlink.target
        _check_text("symlink.target", target)
        if not 1 <= len(target.encode()) <= MAX_TARGET_BYTES:
            raise ManifestError("symlink.target", f"has 1 to {MAX_TARGET_BYTES} bytes")
    else:
        raise ManifestError("kind", "is missing")
    return component


def check_name(component: str) -> None:
    """Raise ManifestError unless the text may be the name of an entry."""
    if component in ("", ".", ".."):
        raise ManifestError("name", "is empty, `.` or `..`")
    if "/" in component or "\\" in component or "\0" in component:
        raise ManifestError("name", "has a slash, a backslash or NUL")
    if component.isascii():
        size = len(component)
    else:
        size = len(component.encode())
        if not unicodedata.is_normalized("NFC", component):
            raise ManifestError("name", "is not in NFC")
    if size > MAX_NAME_BYTES:
        raise ManifestError("name", _limit("a name", MAX_NAME_BYTES, "bytes"))


def file_chunks(file: File, recipes: Iterable[Recipe] = ()) -> tuple[bytes, list[int]]:
    """Return the whole chunk list of a file: packed hashes and sizes.

    `recipes` are the decoded recipes of a file that has any, in the order of `recipe_hashes`.
    """
    if not file.recipe_hashes:
        return file.chunk_hashes, file.chunk_sizes[:]
    parts = list(recipes)
    if len(parts) * HASH_BYTES != len(file.recipe_hashes):
        raise ManifestError("recipe_hashes", "not as many as recipes")
    if any(len(part.chunk_sizes) != RECIPE_CHUNKS for part in parts[:-1]):
        raise ManifestError("chunk_sizes", f"all but the last recipe have {RECIPE_CHUNKS} chunks")
    sizes = list(chain.from_iterable(part.chunk_sizes for part in parts))
    if len(sizes) <= MAX_INLINE_CHUNKS:
        raise ManifestError("recipe_hashes", f"up to {MAX_INLINE_CHUNKS} chunks stand inline")
    if sum(sizes) != file.size:
        raise ManifestError("size", "is not the sum of the chunks' sizes")
    return b"".join(part.chunk_hashes for part in parts), sizes


def split_hashes(packed: bytes) -> list[bytes]:
    """Return the single hashes, 32 bytes each, of a packed list."""
    return [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]


def recipe_hash(chunk_hashes: bytes, chunk_sizes: Sequence[int]) -> str:
    """Return the hexadecimal BLAKE3 hash of a whole chunk list: each hash, then its size as u32."""
    if len(chunk_hashes) != HASH_BYTES * len(chunk_sizes):
        raise ManifestError("chunk_hashes", "not as many as sizes")
    if len(chunk_sizes) == 1:
        return blake3(chunk_hashes + _U32.pack(chunk_sizes[0])).hexdigest()
    sizes = map(_U32.pack, chunk_sizes)
    pairs = zip(split_hashes(chunk_hashes), sizes, strict=True)
    return blake3(b"".join(chain.from_iterable(pairs))).hexdigest()


def _parse(message: Message, content: bytes, field: str) -> None:
    """Fill the message from bytes that must be exactly its canonical form."""
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise ManifestError(field, "is not a message of its type") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != content:
        raise ManifestError(field, "is not in canonical form")


def _check_file(file: File) -> None:
    if file.mode > MAX_MODE:
        raise ManifestError("file.mode", f"is above {MAX_MODE:#o}")
    digest = file.hash
    _check_hash("file.hash", digest)
    if file.recipe_hashes:
        _check_recipe_list(file)
        return
    hashes, sizes = file.chunk_hashes, file.chunk_sizes[:]
    if len(sizes) > MAX_INLINE_CHUNKS:
        description = _limit("a file", MAX_INLINE_CHUNKS, "inline chunks")
        raise ManifestError("file.chunk_sizes", description)
    _check_chunks(hashes, sizes, "file.")
    if sum(sizes) != file.size:
        raise ManifestError("file.size", "is not the sum of the chunks' sizes")
    # What one chunk holds is the whole content, so both names are known to be equal.
    if len(sizes) <= 1 and digest != (hashes or EMPTY_HASH):
        raise ManifestError("file.hash", "is not the hash of the only chunk")


def _check_recipe_list(file: File) -> None:
    if file.chunk_hashes or file.chunk_sizes:
        raise ManifestError("file.recipe_hashes", "stand beside an inline chunk list")
    count, rest = divmod(len(file.recipe_hashes), HASH_BYTES)
    if rest:
        raise ManifestError("file.recipe_hashes", f"is not a multiple of {HASH_BYTES} bytes")
    fewest = max((count - 1) * RECIPE_CHUNKS, MAX_INLINE_CHUNKS) + 1
    if not fewest <= file.size <= count * RECIPE_CHUNKS * MAX_CHUNK_BYTES:
        raise ManifestError("file.size", "cannot be reached with so many recipes")


def _check_chunks(hashes: bytes, sizes: list[int], prefix: str = "") -> None:
    if len(hashes) != HASH_BYTES * len(sizes):
        description = f"is not {HASH_BYTES} bytes for each size"
        raise ManifestError(prefix + "chunk_hashes", description)
    if sizes and not (min(sizes) >= 1 and max(sizes) <= MAX_CHUNK_BYTES):
        raise ManifestError(prefix + "chunk_sizes", f"a chunk has 1 to {MAX_CHUNK_BYTES} bytes")


def _check_signer(signer: Signer) -> None:
    _check_text("name", signer.name)
    if not 1 <= len(signer.name) <= MAX_SIGNER_NAME:
        raise ManifestError("name", f"has 1 to {MAX_SIGNER_NAME} characters")
    _check_text("email", signer.email)
    if len(signer.email.encode()) > MAX_EMAIL_BYTES:
        raise ManifestError("email", _limit("an address", MAX_EMAIL_BYTES, "bytes"))
    if not MIN_TIME_US <= signer.time_us <= MAX_TIME_US:
        raise ManifestError("time_us", "is not between the years 1 and 9999")


def _check_text(field: str, text: str) -> None:
    # PostgreSQL's text and a symbolic link cannot hold it.
    if "\0" in text:
        raise ManifestError(field, "contains NUL")


def _check_hash(field: str, digest: bytes) -> None:
    if len(digest) != HASH_BYTES:
        raise ManifestError(field, f"is not {HASH_BYTES} bytes")


def _limit(subject: str, limit: int, unit: str) -> str:
    return f"{subject} has at most {limit} {unit}"
