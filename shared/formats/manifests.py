"""Manifests: the entries of one directory, their canonical bytes and rules. Pure."""

import unicodedata

from dits.repo.v1.manifest_pb2 import Entry, File, Manifest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from shared.formats.canonical import (
    EMPTY_HASH,
    HASH_BYTES,
    FormatError,
    at_most,
    check_hash,
    check_line,
    parse_canonical,
)
from shared.formats.recipes import (
    MAX_CHUNK_BYTES,
    MAX_INLINE_CHUNKS,
    RECIPE_CHUNKS,
    check_chunks,
)

MAX_MANIFEST_BYTES = 16 << 20
MAX_NAME_BYTES = 255
MAX_TARGET_BYTES = 4096
# What the reference client keeps beside the files of a folder; it is in no tree, in any case of letters.
CLIENT_FOLDER = ".dits"
MAX_MODE = 0o777


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical bytes of a manifest whose entries are sorted and valid already."""
    content = manifest.SerializeToString(deterministic=True)
    if len(content) > MAX_MANIFEST_BYTES:
        raise FormatError("entries", at_most("the directory", MAX_MANIFEST_BYTES, "bytes"))
    return content


def decode_manifest(content: bytes) -> Manifest:
    """Return the manifest that these canonical bytes hold; the rules of every entry are checked."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise FormatError("manifest", at_most("a manifest", MAX_MANIFEST_BYTES, "bytes"))
    manifest = Manifest()
    try:
        parse_canonical(manifest, content, "manifest")
    except FormatError:
        _refuse_undecodable_name(content)
        raise
    previous = ""
    for index, entry in enumerate(manifest.entries):
        try:
            previous = check_entry(entry, previous)
        except FormatError as error:
            raise error.of(entry.name).under(f"entries[{index}]") from None
    return manifest


def _refuse_undecodable_name(content: bytes) -> None:
    """Raise FormatError if the name of an entry is why the bytes are not a manifest."""
    for index, entry in enumerate(_list_fields(content, 1)):
        for name in _list_fields(entry, 1):
            try:
                name.decode()
            except UnicodeDecodeError:
                text = name.decode(errors="backslashreplace")
                raise FormatError(f"entries[{index}].name", f"is not UTF-8: {text}") from None


def _list_fields(content: bytes, number: int) -> list[bytes]:
    """Return the values of a field of bytes, as they came; none if the bytes are no message."""
    try:
        fields = UnknownFieldSet(Empty.FromString(content))
    except DecodeError:
        return []
    listed = (fields[index] for index in range(len(fields)))
    return [f.data for f in listed if f.field_number == number and isinstance(f.data, bytes)]


def check_entry(entry: Entry, previous: str = "") -> str:
    """Return the entry's name; raise FormatError if it breaks a rule.

    `previous` is the name of the entry before it in the same directory.
    """
    component = entry.name
    check_name(component)
    # The order of code points is the order of their UTF-8 bytes.
    if component <= previous:
        raise FormatError("name", "is not in order, or there twice")
    # By far the commonest kind first: a manifest may have 100,000 files.
    if entry.HasField("file"):
        _check_file(entry.file)
    elif entry.HasField("directory"):
        digest = entry.directory.manifest_hash
        check_hash("directory.manifest_hash", digest)
        if digest == EMPTY_HASH:
            raise FormatError("directory.manifest_hash", "an empty directory is not stored")
    elif entry.HasField("symlink"):
        target = entry.symlink.target
        check_line("symlink.target", target)
        if not 1 <= len(target.encode()) <= MAX_TARGET_BYTES:
            raise FormatError("symlink.target", f"has 1 to {MAX_TARGET_BYTES} bytes")
    else:
        raise FormatError("kind", "is missing")
    return component


def check_name(component: str) -> None:
    """Raise FormatError unless the text may be the name of an entry."""
    if component in ("", ".", ".."):
        raise FormatError("name", "is empty, `.` or `..`")
    if "/" in component or "\\" in component:
        raise FormatError("name", "has a slash or a backslash")
    if component.casefold() == CLIENT_FOLDER:
        raise FormatError("name", f"is `{CLIENT_FOLDER}`, where clients keep their own state")
    check_line("name", component)
    is_ascii = component.isascii()
    # Before the form is looked at: that takes long for long names.
    if (len(component) if is_ascii else len(component.encode())) > MAX_NAME_BYTES:
        raise FormatError("name", at_most("a name", MAX_NAME_BYTES, "bytes"))
    if not is_ascii and not unicodedata.is_normalized("NFC", component):
        raise FormatError("name", "is not in NFC")


def _check_file(file: File) -> None:
    if file.mode > MAX_MODE:
        raise FormatError("file.mode", f"is above {MAX_MODE:#o}")
    digest = file.hash
    check_hash("file.hash", digest)
    if file.recipe_hashes:
        _check_recipe_list(file)
        return
    hashes, sizes = file.chunk_hashes, file.chunk_sizes[:]
    if len(sizes) > MAX_INLINE_CHUNKS:
        description = at_most("a file", MAX_INLINE_CHUNKS, "inline chunks")
        raise FormatError("file.chunk_sizes", description)
    check_chunks(hashes, sizes, "file.")
    if sum(sizes) != file.size:
        raise FormatError("file.size", "is not the sum of the chunks' sizes")
    # What one chunk holds is the whole content, so both hashes are known to be equal.
    if len(sizes) <= 1 and digest != (hashes or EMPTY_HASH):
        raise FormatError("file.hash", "is not the hash of the only chunk")


def _check_recipe_list(file: File) -> None:
    if file.chunk_hashes or file.chunk_sizes:
        raise FormatError("file.recipe_hashes", "stand beside an inline chunk list")
    count, rest = divmod(len(file.recipe_hashes), HASH_BYTES)
    if rest:
        raise FormatError("file.recipe_hashes", f"is not a multiple of {HASH_BYTES} bytes")
    fewest = max((count - 1) * RECIPE_CHUNKS, MAX_INLINE_CHUNKS) + 1
    if not fewest <= file.size <= count * RECIPE_CHUNKS * MAX_CHUNK_BYTES:
        raise FormatError("file.size", "cannot be reached with so many recipes")
