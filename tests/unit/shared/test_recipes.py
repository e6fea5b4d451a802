"""Chunk lists of files: inline or in recipes, never both ways."""

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File, Recipe
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import (
    MAX_INLINE_CHUNKS,
    RECIPE_CHUNKS,
    decode_recipe,
    encode_list,
    encode_recipe,
    file_chunks,
    list_hash,
)

ONE = blake3(b"x").digest()
TWO = blake3(b"y").digest()
digests = st.binary(min_size=32, max_size=32)


@given(st.lists(digests, max_size=20))
def test_packed_hashes_can_be_split(hashes: list[bytes]) -> None:
    assert split_hashes(b"".join(hashes)) == hashes


def test_list_hash_tells_lists_apart_and_nothing_else() -> None:
    file = File(size=3, hash=ONE, chunk_hashes=ONE + TWO, chunk_sizes=[1, 2])
    others = [
        File(size=3, hash=ONE, chunk_hashes=TWO + ONE, chunk_sizes=[1, 2]),
        File(size=3, hash=ONE, chunk_hashes=ONE + TWO, chunk_sizes=[2, 1]),
        File(size=4, hash=ONE, chunk_hashes=ONE + TWO, chunk_sizes=[1, 2]),
        File(size=3, hash=ONE, recipe_hashes=ONE + TWO),
        File(size=3, hash=ONE, recipe_hashes=ONE),
        File(),
    ]
    assert len({list_hash(file), *map(list_hash, others)}) == 7
    file.mode, file.hash = 0o755, TWO
    same = File(size=3, hash=ONE, chunk_hashes=ONE + TWO, chunk_sizes=[1, 2])
    assert list_hash(file) == list_hash(same)


def test_the_list_hash_of_one_chunk_is_the_size() -> None:
    one = [File(size=n, hash=ONE, chunk_hashes=ONE, chunk_sizes=[n]) for n in (3, 4)]
    assert [list_hash(file) for file in one] == ["3", "4"]
    other = File(size=3, hash=ONE, chunk_hashes=TWO, chunk_sizes=[3])
    assert len(list_hash(other)) == 64


def test_file_chunks_joins_recipes() -> None:
    full = Recipe(chunk_hashes=ONE * RECIPE_CHUNKS)
    full.chunk_sizes.extend([2] * RECIPE_CHUNKS)
    rest = Recipe(chunk_hashes=TWO, chunk_sizes=[5])
    file = File(size=2 * RECIPE_CHUNKS + 5, hash=ONE, recipe_hashes=ONE + TWO)
    hashes, sizes = file_chunks(file, [full, rest])
    assert hashes == full.chunk_hashes + TWO
    assert sizes == [2] * RECIPE_CHUNKS + [5]
    for wrong in ([full], [rest, full], [full, rest, rest]):
        with pytest.raises(FormatError):
            file_chunks(file, wrong)
    file.size += 1
    with pytest.raises(FormatError):
        file_chunks(file, [full, rest])


def _chunks(count: int) -> tuple[bytes, list[int]]:
    return b"".join(blake3(b"%d" % n).digest() for n in range(count)), list(range(1, count + 1))


def test_a_list_has_one_encoding() -> None:
    inline = _chunks(MAX_INLINE_CHUNKS)
    assert list(encode_list(*inline)) == []
    hidden = Recipe(chunk_hashes=inline[0], chunk_sizes=inline[1])
    with pytest.raises(FormatError) as caught:
        file_chunks(File(size=sum(inline[1]), hash=ONE, recipe_hashes=TWO), [hidden])
    assert caught.value.field == "recipe_hashes"


@pytest.mark.parametrize(
    ("count", "lengths"),
    [
        (MAX_INLINE_CHUNKS + 1, [MAX_INLINE_CHUNKS + 1]),
        (RECIPE_CHUNKS, [RECIPE_CHUNKS]),
        (RECIPE_CHUNKS + 1, [RECIPE_CHUNKS, 1]),
        (2 * RECIPE_CHUNKS, [RECIPE_CHUNKS, RECIPE_CHUNKS]),
    ],
)
def test_a_long_list_is_cut_into_recipes(count: int, lengths: list[int]) -> None:
    hashes, sizes = _chunks(count)
    contents = list(encode_list(hashes, sizes))
    recipes = [decode_recipe(content) for content in contents]
    assert [len(recipe.chunk_sizes) for recipe in recipes] == lengths
    names = b"".join(blake3(content).digest() for content in contents)
    file = File(size=sum(sizes), hash=ONE, recipe_hashes=names)
    assert file_chunks(file, recipes) == (hashes, sizes)


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(chunk_hashes=ONE, chunk_sizes=[0]), Recipe(chunk_hashes=ONE)]
)
def test_bad_recipes_are_refused(recipe: Recipe) -> None:
    with pytest.raises(FormatError):
        decode_recipe(encode_recipe(recipe))
