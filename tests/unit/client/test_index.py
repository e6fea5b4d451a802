"""The index: what is saved is loaded, and what is damaged is an empty index."""

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from dits_client.workspace.index import (
    DIRECTORY_STAT,
    STAT_BYTES,
    UNKNOWN_STAT,
    DirectoryRecord,
    Index,
    pack_stat,
)
from dits_client.workspace.objects import MANIFEST, RECIPE, Objects

stats = st.binary(min_size=STAT_BYTES, max_size=STAT_BYTES)
names = st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1, max_size=20)
directories = st.dictionaries(names, stats, max_size=6)


def record(entries: dict[str, bytes], manifest: bytes = b"m" * 32) -> DirectoryRecord:
    return DirectoryRecord(manifest, "\0".join(entries), b"".join(entries.values()))


@given(st.dictionaries(names | st.just(""), directories, max_size=5))
def test_records_survive_saving(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    assert isinstance(tree, dict)
    path = tmp_path_factory.mktemp("index") / "index"
    index = Index({place: record(entries) for place, entries in tree.items()})
    index.save(path, recipes=False)
    loaded = Index.open(path)
    assert loaded.records == index.records
    for place, entries in tree.items():
        assert dict(loaded.records[place].iterate_entries()) == entries
    loaded.close()


def test_objects_are_kept_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = Index()
    named = index.objects.add(MANIFEST, b"of a record")
    kept = index.objects.add(MANIFEST, b"of the parent")
    recipe = index.objects.add(RECIPE, b"a recipe")
    other = index.objects.add(MANIFEST, b"of nothing")
    index.records[""] = DirectoryRecord(named, "", b"")
    index.save(path, [kept], recipes=True)
    loaded = Index.open(path)
    assert loaded.objects.get(named) == b"of a record"
    assert loaded.objects.get(kept) == b"of the parent"
    assert loaded.objects.get(recipe) == b"a recipe"
    assert list(loaded.objects.list_recipes()) == [recipe]
    assert loaded.objects.get(other) is None
    loaded.save(path, recipes=False)
    again = Index.open(path)
    assert again.objects.get(named) == b"of a record"
    assert kept not in again.objects
    assert recipe not in again.objects
    loaded.close()
    again.close()


def test_a_damaged_object_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = Index()
    name = index.objects.add(MANIFEST, b"content")
    index.save(path, [name], recipes=False)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    loaded = Index.open(path)
    assert name in loaded.objects
    assert loaded.objects.get(name) is None
    loaded.close()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "index"
    Index({"": record({"a": b"1" * STAT_BYTES}), "d": record({})}).save(path, recipes=False)
    return path


def test_any_damage_to_the_head_gives_an_empty_index(saved: Path) -> None:
    good = saved.read_bytes()
    for at in range(len(good)):
        content = bytearray(good)
        content[at] ^= 0x41
        saved.write_bytes(content)
        assert Index.open(saved).records == {}
        saved.write_bytes(good[:at])
        assert Index.open(saved).records == {}


def test_a_missing_index_is_empty(tmp_path: Path) -> None:
    assert Index.open(tmp_path / "none").records == {}


def test_stat_tells_what_a_change_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = pack_stat(path.stat())
    assert before == pack_stat(path.stat())
    assert before not in (UNKNOWN_STAT, DIRECTORY_STAT)
    path.chmod(0o600)
    assert pack_stat(path.stat()) != before
    os.utime(path, ns=(0, 0))
    zero = pack_stat(path.stat())
    os.utime(path, ns=(-(10**9), -(10**9)))
    negative = pack_stat(path.stat())
    os.utime(path, ns=(-(10**9), -(2 * 10**9)))
    assert len({negative, zero, pack_stat(path.stat()), UNKNOWN_STAT}) == 4


def test_new_objects_are_found_by_their_hash() -> None:
    objects = Objects()
    name = objects.add(MANIFEST, b"x")
    assert name == blake3(b"x").digest()
    assert objects.get(name) == b"x"
    objects.close()
