"""The differences of two encoded directories are those of their entries."""

from __future__ import annotations

from dits.repo.v1.manifest_pb2 import Entry, File, Manifest, Symlink
from hypothesis import example, given
from hypothesis import strategies as st

from services.repo.trees.encoded import iterate_differences
from shared.formats.manifests import encode_manifest

# Lengths of entries in one byte, two and three, and bytes that look like the tags of entries.
TARGETS = st.sampled_from(["\n", "\n\n", "x" * 120, "x" * 121, "x" * 16_400, "é"])
NAMES = st.text("ab\né", min_size=1, max_size=3)


def make_entry(name: str, target: str) -> Entry:
    if len(target) % 2:
        return Entry(name=name, file=File(hash=target.encode()))
    return Entry(name=name, symlink=Symlink(target=target))


def encode(entries: dict[str, str]) -> bytes:
    ordered = (make_entry(name, target) for name, target in sorted(entries.items()))
    return encode_manifest(Manifest(entries=ordered))


def numbered(count: int, *, changed: tuple[int, ...] = ()) -> dict[str, str]:
    return {f"{n:05}": "new" if n in changed else "old" for n in range(count)}


@given(st.dictionaries(NAMES, TARGETS, max_size=40), st.dictionaries(NAMES, TARGETS, max_size=5))
@example(numbered(5_000), numbered(5_000, changed=(0, 1, 700, 4_999)))
@example(numbered(5_000), {})
def test_what_differs_is_found_by_name(old: dict[str, str], edits: dict[str, str]) -> None:
    new = {name: target for name, target in (old | edits).items() if target != "\n\n"}
    expected = [
        (
            make_entry(name, old[name]) if name in old else None,
            make_entry(name, new[name]) if name in new else None,
        )
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    assert list(iterate_differences(encode(old), encode(new))) == expected
    turned = [(was, now) for now, was in expected]
    assert list(iterate_differences(encode(new), encode(old))) == turned


def test_equal_stretches_of_any_length_are_passed_over() -> None:
    for count in (1, 7, 8, 9, 500, 513, 514, 30_000):
        old = numbered(count)
        new = numbered(count, changed=(count - 1,))
        [(was, now)] = iterate_differences(encode(old), encode(new))
        assert was is not None
        assert now is not None
        assert was.name == now.name == f"{count - 1:05}"
        assert not list(iterate_differences(encode(old), encode(old)))
