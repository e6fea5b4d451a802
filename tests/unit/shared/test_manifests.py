"""The stored formats: what is encoded decodes to itself, and nothing else is accepted."""

import contextlib
import unicodedata

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Directory, Entry, File, Manifest, Symlink
from hypothesis import given
from hypothesis import strategies as st

from shared.formats import manifests
from shared.formats.canonical import EMPTY_HASH, FormatError, content_hash
from shared.formats.commits import decode_commit
from shared.formats.recipes import MAX_CHUNK_BYTES, MAX_INLINE_CHUNKS, RECIPE_CHUNKS, decode_recipe

digests = st.binary(min_size=32, max_size=32)
names = (
    st.text(
        st.characters(exclude_characters="/\\", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]),
        min_size=1,
        max_size=40,
    )
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(lambda text: text not in (".", ".."))
)


@st.composite
def files(draw: st.DrawFn) -> File:
    sizes = draw(st.lists(st.integers(1, MAX_CHUNK_BYTES), max_size=6))
    hashes = [draw(digests) for _ in sizes]
    digest = hashes[0] if len(hashes) == 1 else draw(digests) if hashes else EMPTY_HASH
    return File(
        mode=draw(st.integers(0, 0o777)),
        size=sum(sizes),
        hash=digest,
        chunk_hashes=b"".join(hashes),
        chunk_sizes=sizes,
    )


@st.composite
def large_files(draw: st.DrawFn) -> File:
    count = draw(st.integers(1, 3))
    fewest = max((count - 1) * RECIPE_CHUNKS, MAX_INLINE_CHUNKS) + 1
    most = count * RECIPE_CHUNKS * MAX_CHUNK_BYTES
    return File(
        size=draw(st.integers(fewest, most)),
        hash=draw(digests),
        recipe_hashes=b"".join(draw(digests) for _ in range(count)),
    )


kinds = st.one_of(
    st.builds(lambda file: Entry(file=file), files() | large_files()),
    st.builds(lambda digest: Entry(directory=Directory(manifest_hash=digest)), digests),
    st.builds(
        lambda target: Entry(symlink=Symlink(target=target)),
        st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1),
    ),
)


@st.composite
def whole_manifests(draw: st.DrawFn) -> Manifest:
    manifest = Manifest()
    for name in sorted(draw(st.sets(names, max_size=8)), key=str.encode):
        entry = draw(kinds)
        entry.name = name
        manifest.entries.append(entry)
    return manifest


@given(whole_manifests())
def test_manifest_survives_the_round_trip(manifest: Manifest) -> None:
    content = manifests.encode_manifest(manifest)
    assert manifests.decode_manifest(content) == manifest
    assert manifests.encode_manifest(manifests.decode_manifest(content)) == content
    assert content_hash(content) == blake3(content).hexdigest()


@given(whole_manifests(), st.data())
def test_changed_bytes_are_refused_or_are_canonical_themselves(
    manifest: Manifest, data: st.DataObject
) -> None:
    content = bytearray(manifests.encode_manifest(manifest) or b"\0")
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    try:
        decoded = manifests.decode_manifest(bytes(content))
    except FormatError:
        return
    assert manifests.encode_manifest(decoded) == bytes(content)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_manifest_errors(content: bytes) -> None:
    for decode in (manifests.decode_manifest, decode_recipe, decode_commit):
        with contextlib.suppress(FormatError):
            decode(content)


@given(names)
def test_valid_names_are_accepted(name: str) -> None:
    if len(name.encode()) <= 255:
        manifests.check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\x9bb",
        "a\u202eb",
        "e\u0301",
        "x" * 256,
        "\u00e9" * 128,
    ],
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(FormatError):
        manifests.check_name(name)


ONE = blake3(b"x").digest()
TWO = blake3(b"y").digest()
MANY = MAX_INLINE_CHUNKS + 1


def _file(**fields: object) -> Entry:
    values = {"mode": 0o644, "size": 1, "hash": ONE, "chunk_hashes": ONE, "chunk_sizes": [1]}
    return Entry(name="a", file=File(**{**values, **fields}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (_file(mode=0o1000), "file.mode"),
        (_file(hash=b"short"), "file.hash"),
        (_file(hash=TWO), "file.hash"),
        (_file(size=2), "file.size"),
        (_file(chunk_hashes=ONE[:31]), "file.chunk_hashes"),
        (_file(chunk_hashes=ONE + TWO), "file.chunk_hashes"),
        (_file(chunk_sizes=[0], size=0), "file.chunk_sizes"),
        (_file(chunk_sizes=[(16 << 20) + 1], size=(16 << 20) + 1), "file.chunk_sizes"),
        (_file(chunk_hashes=b"", chunk_sizes=[], size=0), "file.hash"),
        (_file(chunk_hashes=ONE * MANY, chunk_sizes=[1] * MANY, size=MANY), "file.chunk_sizes"),
        (_file(recipe_hashes=ONE), "file.recipe_hashes"),
        (
            _file(recipe_hashes=ONE[:5], chunk_hashes=b"", chunk_sizes=[], size=2000),
            "file.recipe_hashes",
        ),
        (_file(recipe_hashes=ONE, chunk_hashes=b"", chunk_sizes=[], size=MANY - 1), "file.size"),
        (_file(recipe_hashes=ONE, chunk_hashes=b"", chunk_sizes=[], size=1 << 39), "file.size"),
        (Entry(name="a"), "kind"),
        (Entry(name="a", directory=Directory()), "directory.manifest_hash"),
        (
            Entry(name="a", directory=Directory(manifest_hash=EMPTY_HASH)),
            "directory.manifest_hash",
        ),
        (Entry(name="a", symlink=Symlink()), "symlink.target"),
        (Entry(name="a", symlink=Symlink(target="x" * 4097)), "symlink.target"),
        (Entry(name="a", symlink=Symlink(target="x\0y")), "symlink.target"),
    ],
)
def test_entries_that_break_a_rule_are_refused(entry: Entry, field: str) -> None:
    with pytest.raises(FormatError) as caught:
        manifests.decode_manifest(manifests.encode_manifest(Manifest(entries=[entry])))
    assert caught.value.field == f"entries[0].{field}"


@pytest.mark.parametrize("pair", [("b", "a"), ("a", "a"), ("\U0001f600", "\uff5e")])
def test_entries_out_of_order_are_refused(pair: tuple[str, str]) -> None:
    entries = [Entry(name=name, symlink=Symlink(target="t")) for name in pair]
    with pytest.raises(FormatError) as caught:
        manifests.decode_manifest(manifests.encode_manifest(Manifest(entries=entries)))
    assert caught.value.field == "entries[1].name"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"\x12\x00",  # an unknown field, at the end
        b"\x0a\x05\x0a\x01a\x18\x01",  # an unknown field inside the entry
        b"\x0a\x07\x22\x03\x0a\x01t\x0a\x01",  # cut off
        b"\x0a\x08\x22\x03\x0a\x01t\x0a\x01a",  # the fields in another order
    ],
)
def test_other_encodings_are_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        manifests.decode_manifest(content)


def test_too_large_a_manifest_is_refused() -> None:
    content = b"\0" * (manifests.MAX_MANIFEST_BYTES + 1)
    with pytest.raises(FormatError):
        manifests.decode_manifest(content)


def test_the_empty_tree_has_a_name() -> None:
    assert manifests.encode_manifest(Manifest()) == b""
    assert content_hash(b"") == EMPTY_HASH.hex() == blake3(b"").hexdigest()


def test_a_name_that_is_not_utf8_is_named() -> None:
    content = b"\x0a\x08\x0a\x02a\xff\x22\x02\x0a\x00"
    with pytest.raises(FormatError) as caught:
        manifests.decode_manifest(content)
    assert caught.value.field == "entries[0].name"
    assert "a\\xff" in caught.value.description
