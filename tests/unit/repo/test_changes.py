"""Changed paths are found by place without walking all of them."""

from __future__ import annotations

import random

from services.repo.history.changes import Changes, Comparison, Difference, Item


def make_changes(chosen: random.Random) -> Changes:
    """Changes of two roots, which share directories."""
    differences: dict[Comparison, Difference] = {}
    levels: list[list[Comparison]] = [[]]
    for depth in range(4):
        level = []
        for number in range(3):
            pair = Comparison((None,), f"{depth}.{number}")
            items = [
                Item(name, existed=chosen.random() < 0.5)
                for name in ("a", "b", "a.x")
                if chosen.random() < 0.6
            ]
            items += [
                Item(name, below=chosen.choice(levels[-1]))
                for name in ("a/", "b/", "ab/")
                if levels[-1] and chosen.random() < 0.7
            ]
            differences[pair] = Difference(sorted(items, key=lambda item: item.name))
            level.append(pair)
        levels.append(level)
    return Changes(tuple(levels[-1][:2]), differences)


def test_a_place_has_the_paths_that_a_lock_on_it_covers() -> None:
    chosen = random.Random(7)
    for _ in range(30):
        changes = make_changes(chosen)
        every = list(changes.iterate_paths())
        assert [path for path, _ in every] == sorted({path for path, _ in every})
        assert changes.count_paths() >= len(every)
        directories = {path[: at + 1] for path, _ in every for at, c in enumerate(path) if c == "/"}
        for place in {"nowhere", "a/nowhere", "b/a/b/a/b/", *directories, *(p for p, _ in every)}:
            covered = [
                found
                for found in every
                if found[0] == place or (place.endswith("/") and found[0].startswith(place))
            ]
            assert list(changes.iterate_paths(place)) == covered
        without = set(chosen.sample(sorted(directories), len(directories) // 3))
        left = [found for found in every if not found[0].startswith(tuple(without))]
        assert list(changes.iterate_paths(without=without)) == left
