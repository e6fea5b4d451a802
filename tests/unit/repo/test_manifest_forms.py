"""The stored forms of manifests: what comes out is what went in, or an error."""

from __future__ import annotations

import random

import pytest
import zstandard

from services.repo.history.manifest_forms import (
    compress_delta,
    compress_manifest,
    measure_content,
    open_forms,
)
from shared.errors import DomainError
from shared.formats.canonical import content_hash
from shared.formats.manifests import MAX_MANIFEST_BYTES

numbers = random.Random(3)
ENTRY = 100


def make_content(entries: int) -> bytes:
    """Bytes that do not shrink, as the hashes in a manifest do not."""
    return numbers.randbytes(entries * ENTRY)


def change(content: bytes, count: int) -> bytes:
    """The same with some entries replaced."""
    changed = bytearray(content)
    for at in numbers.sample(range(len(content) // ENTRY), count):
        changed[at * ENTRY : at * ENTRY + 32] = numbers.randbytes(32)
    return bytes(changed)


@pytest.mark.parametrize("entries", [700, 7_000, 50_000, MAX_MANIFEST_BYTES // ENTRY])
def test_a_delta_is_small_and_leads_back(entries: int) -> None:
    base = make_content(entries)
    content = change(base, 10)
    forms = [compress_manifest(base), compress_delta(content, base)]
    assert len(forms[1]) < 3_000
    assert open_forms(content_hash(content), forms) == content
    assert measure_content("", forms[1]) == len(content)


def test_insertions_and_deletions_anywhere_are_found() -> None:
    base = make_content(20_000)
    content = base[5_000:700_000] + make_content(3) + base[700_000:-50_000] + make_content(2)
    delta = compress_delta(content, base)
    assert len(delta) < 2_000
    assert open_forms(content_hash(content), [compress_manifest(base), delta]) == content


@pytest.mark.parametrize("content", [b"x" * 100_000, b"xy" * 300_000, make_content(1_000)])
@pytest.mark.parametrize("base", [b"x", b"x" * 70_000, make_content(900)])
def test_any_two_contents_make_a_delta(content: bytes, base: bytes) -> None:
    forms = [compress_manifest(base), compress_delta(content, base)]
    assert open_forms(content_hash(content), forms) == content


def test_what_is_not_the_manifest_is_refused() -> None:
    base, other = make_content(1_000), make_content(1_000)
    content = change(base, 3)
    digest, delta = content_hash(content), compress_delta(content, base)
    too_large = zstandard.ZstdCompressor().compress(bytes(MAX_MANIFEST_BYTES + 1))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(content)
    for forms in (
        [],
        [b""],
        [b"\x28\xb5\x2f\xfd"],
        [delta],
        [compress_manifest(other), delta],
        [compress_manifest(content), compress_manifest(base)],
        [compress_manifest(base), delta[:-1]],
        [too_large],
        [unsized],
    ):
        with pytest.raises(DomainError, match="is damaged"):
            open_forms(digest, forms)
