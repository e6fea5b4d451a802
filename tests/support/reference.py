"""A second implementation of the stored formats, slow and simple, to hold ours and the vectors against.

Messages are what protos/vectors has: dictionaries with hashes in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import md5
from typing import Any

from blake3 import blake3

Fields = Mapping[str, Any]

_GEAR = [int.from_bytes(md5(bytes([b]) * 64).digest()[:8], "big") for b in range(256)]  # noqa: S324
# Before and after the average size, by the average size.
_MASKS = {
    64 << 10: (0x0000D90703537000, 0x0000D90F03530000),
    256 << 10: (0x0000D91707537000, 0x0000D90703537000),
}


def input_bytes(described: Fields) -> bytes:
    """The content that a vector describes."""
    if "text" in described:
        return str(described["text"]).encode()
    if "byte" in described:
        return bytes([described["byte"]]) * int(described["size"])
    return blake3(described["seed"].encode()).digest(length=int(described["size"]))


def cut_sizes(content: bytes, least: int, average: int, most: int) -> Iterator[int]:
    """The sizes of the chunks of some content, in order."""
    start = 0
    while start < len(content):
        size = _cut(content[start : start + most], least, average)
        yield size
        start += size


def _cut(window: bytes, least: int, average: int) -> int:
    """Where the first chunk of a window of the largest size ends."""
    if len(window) <= least:
        return len(window)
    early, late = _MASKS[average]
    value = 0
    # A last odd byte is not looked at.
    for at in range(least, len(window) // 2 * 2):
        value = (value << 1) + _GEAR[window[at]] & (1 << 64) - 1
        if not value & (early if at < average else late):
            return at
    return len(window)


def encode_manifest(manifest: Fields) -> bytes:
    """The canonical bytes of a manifest."""
    return b"".join(_bytes(1, _entry(entry)) for entry in manifest["entries"])


def encode_recipe(chunks: Sequence[tuple[str, int]]) -> bytes:
    """The canonical bytes of a recipe of some chunks: hash and size of each."""
    hashes = b"".join(bytes.fromhex(digest) for digest, _ in chunks)
    return _text(1, hashes) + _text(2, b"".join(_varint(size) for _, size in chunks))


def encode_commit(commit: Fields) -> bytes:
    """The canonical bytes of a commit."""
    return b"".join(
        (
            _text(1, bytes.fromhex(commit["tree_hash"])),
            *(_bytes(2, bytes.fromhex(parent)) for parent in commit["parent_hashes"]),
            _bytes(3, _signer(commit["author"])),
            _bytes(4, _signer(commit["committer"])),
            _text(5, commit["message"].encode()),
        )
    )


def encode_tag(tag: Fields) -> bytes:
    """The canonical bytes of a tag."""
    return b"".join(
        (
            _text(1, bytes.fromhex(tag["commit_hash"])),
            _text(2, tag["name"].encode()),
            _bytes(3, _signer(tag["tagger"])),
            _text(4, tag["message"].encode()),
        )
    )


def _entry(entry: Fields) -> bytes:
    name = _text(1, entry["name"].encode())
    if "file" in entry:
        return name + _bytes(2, _file(entry["file"]))
    if "directory" in entry:
        digest = bytes.fromhex(entry["directory"]["manifest_hash"])
        return name + _bytes(3, _text(1, digest))
    return name + _bytes(4, _text(1, entry["symlink"]["target"].encode()))


def _file(file: Fields) -> bytes:
    chunks = file.get("chunks", ())
    return b"".join(
        (
            _integer(1, int(file["mode"], 8)),
            _integer(2, int(file["size"])),
            _text(3, bytes.fromhex(file["hash"])),
            _text(4, b"".join(bytes.fromhex(digest) for digest, _ in chunks)),
            _text(5, b"".join(_varint(size) for _, size in chunks)),
            _text(6, bytes.fromhex("".join(file.get("recipe_hashes", ())))),
        )
    )


def _signer(signer: Fields) -> bytes:
    return b"".join(
        (
            _text(1, signer["name"].encode()),
            _text(2, signer["email"].encode()),
            _integer(3, int(signer["time_us"])),
            _integer(4, signer["offset_minutes"]),
        )
    )


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _integer(number: int, value: int) -> bytes:
    """A field; nothing for 0."""
    return _varint(number << 3) + _varint(value) if value else b""


def _bytes(number: int, value: bytes) -> bytes:
    """A field that is there even if it is empty."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _text(number: int, value: bytes) -> bytes:
    """A field; nothing for an empty one."""
    return _bytes(number, value) if value else b""
