"""Trees of manifests: built from entries, and compared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Entry, File, Manifest

from dits_client.content.chunking import ChunkRef, Cut
from dits_client.content.scope import EVERYTHING, Part, Scope
from dits_client.errors import ClientError
from dits_client.terminal import quote_text
from shared.formats import manifests, recipes
from shared.formats.canonical import FormatError, split_hashes

# Returns the bytes of a manifest by its hash.
ManifestLoader = Callable[[bytes], bytes]


class Change(NamedTuple):
    """A file or link that differs between two trees; None = the tree does not have it."""

    path: str
    old: Entry | None
    new: Entry | None


def make_file_entry(mode: int, cut: Cut) -> tuple[File, list[bytes]]:
    """Return the entry of a file, and its recipes, which are stored as chunks; few chunks need none."""
    file = File()
    return file, fill_file_entry(file, mode, cut)


def fill_file_entry(file: File, mode: int, cut: Cut) -> list[bytes]:
    """Fill the entry of a file, which is empty; return its recipes. One that is made alone takes longer."""
    file.mode, file.size, file.hash = mode & manifests.MAX_MODE, cut.size, cut.content_hash
    parts = list(recipes.encode_list(cut.hashes, cut.sizes))
    if parts:
        file.recipe_hashes = b"".join(blake3(part).digest() for part in parts)
    else:
        file.chunk_hashes = cut.hashes
        file.chunk_sizes.extend(cut.sizes)
    return parts


def hash_content(entry: Entry) -> str:
    """Return the hash of a file or of a link's target, hexadecimal."""
    if entry.HasField("symlink"):
        return blake3(entry.symlink.target.encode()).hexdigest()
    return entry.file.hash.hex()


def list_chunks(file: File, contents: Iterable[bytes] = ()) -> list[ChunkRef]:
    """Return the chunks of a file; `contents` are the bytes of its recipes. Raises FormatError."""
    hashes, sizes = recipes.file_chunks(
        file, [recipes.decode_recipe(content) for content in contents]
    )
    return list(map(ChunkRef, split_hashes(hashes), sizes))


def encode_directory(path: str, entries: Sequence[Entry]) -> bytes:
    """Return the manifest of a directory with sorted entries. Raises ClientError if they are too many."""
    try:
        return manifests.encode_manifest(Manifest(entries=entries))
    except FormatError:
        raise ClientError(
            f"the folder {quote_text(path or '.')} has too many entries: divide it"
        ) from None


def parse_entries(content: bytes) -> dict[str, Entry]:
    """Return the entries of a valid manifest by name."""
    return {entry.name: entry for entry in Manifest.FromString(content).entries}


def compare_trees(
    load: ManifestLoader,
    old: bytes | None,
    new: bytes | None,
    path: str = "",
    scopes: tuple[Scope, Scope] = (EVERYTHING, EVERYTHING),
) -> Iterator[Change]:
    """Yield the files and links that differ between two trees, of each what its scope covers.

    Directories with one hash are not loaded, nor those that no scope covers.
    """
    old, new = (
        tree if scope.measure(path) != Part.NOTHING else None
        for tree, scope in zip((old, new), scopes, strict=True)
    )
    is_alike = scopes[0] == scopes[1] or all(scope.measure(path) == Part.ALL for scope in scopes)
    if old == new and is_alike:
        return
    before = parse_entries(load(old)) if old is not None else {}
    after = parse_entries(load(new)) if new is not None else {}
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one == two and is_alike:
            continue
        inner = f"{path}/{name}" if path else name
        one_tree, two_tree = get_manifest_hash(one), get_manifest_hash(two)
        leaves = (
            one if one_tree is None and scopes[0].covers(inner) else None,
            two if two_tree is None and scopes[1].covers(inner) else None,
        )
        if leaves[0] != leaves[1]:
            yield Change(inner, *leaves)
        if one_tree is not None or two_tree is not None:
            yield from compare_trees(load, one_tree, two_tree, inner, scopes)


def iterate_manifests(
    load: ManifestLoader,
    tree: bytes,
    seen: set[bytes],
    scope: Scope = EVERYTHING,
    path: str = "",
) -> Iterator[bytes]:
    """Yield the hashes of a tree's manifests, children first, each once; of what a scope covers.

    Hashes in `seen` are left out with all below them; the yielded ones are added to it.
    """
    part = scope.measure(path)
    if part == Part.NOTHING or tree in seen:
        return
    seen.add(tree)
    for entry in Manifest.FromString(load(tree)).entries:
        inner = get_manifest_hash(entry)
        if inner is not None:
            below = f"{path}/{entry.name}" if path else entry.name
            yield from iterate_manifests(load, inner, seen, scope, below)
    yield tree


def get_manifest_hash(entry: Entry | None) -> bytes | None:
    """Return the hash of a directory's manifest; None if the entry is not a directory."""
    if entry is None or not entry.HasField("directory"):
        return None
    return entry.directory.manifest_hash
