"""The forms in which manifests are stored: zstd of the canonical bytes, alone or as a delta. Pure.

A delta is zstd, too, with the canonical bytes of another manifest, its base, as the dictionary. How
the base itself is stored does not matter to it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import cast

import zstandard

from shared.errors import manifest_corrupt
from shared.formats.canonical import content_hash
from shared.formats.manifests import MAX_MANIFEST_BYTES

# Deltas in one another, down to a manifest that is stored whole.
MAX_DELTA_DEPTH = 16

_LEVEL = 3
_DELTA_LEVEL = 1
_local = threading.local()


def compress_manifest(content: bytes) -> bytes:
    """Returns the form of a manifest that stands alone. Safe in any thread."""
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return cast(bytes, _local.compressor.compress(content))


def compress_delta(content: bytes, base: bytes) -> bytes:
    """Returns the form of a manifest as a delta to a base, which is not empty. Safe in any thread.

    It takes time in proportion to the bytes, whatever they are, and five times the base in memory.
    """
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _DELTA_LEVEL,
        window_log=max((len(content) + len(base)).bit_length(), zstandard.WINDOWLOG_MIN),
        # Every third position of the base has an entry. With the usual table only its end would be found.
        hash_log=max(len(base).bit_length() - 2, zstandard.HASHLOG_MIN),
    )
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(
        content
    )


def measure_content(digest: str, form: bytes) -> int:
    """Returns how many canonical bytes a form holds. Raises MANIFEST_CORRUPT if it does not say so."""
    try:
        size = zstandard.frame_content_size(form)
    except zstandard.ZstdError:
        raise manifest_corrupt(digest) from None
    if not 0 <= size <= MAX_MANIFEST_BYTES:
        raise manifest_corrupt(digest)
    return size


def open_forms(digest: str, forms: Iterable[bytes]) -> bytes:
    """Returns the canonical bytes of a manifest, which hash to its name. Safe in any thread.

    The last of the forms is its own; before it stand those of its bases, each the base of the next. Two
    manifests are in memory at once. Raises MANIFEST_CORRUPT.
    """
    content = b""
    for form in forms:
        measure_content(digest, form)
        try:
            content = _decompress(form, content)
        except zstandard.ZstdError:
            raise manifest_corrupt(digest) from None
    if content_hash(content) != digest:
        raise manifest_corrupt(digest)
    return content


def _decompress(form: bytes, base: bytes) -> bytes:
    if base:
        dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(form)
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    return cast(bytes, _local.decompressor.decompress(form))
