"""What a folder includes: rules by path."""

from __future__ import annotations

import random

from dits_client.content.manifest import compare_trees, parse_entries
from dits_client.content.scope import (
    EVERYTHING,
    Part,
    Scope,
    describe_rules,
    join_scopes,
    make_scope,
)
from dits_client.workspace.index import Index
from tests.support.snapshots import load_manifest, take_snapshot, write_old_files

NAMES = ["a", "b", "c"]


def test_the_nearest_rule_decides() -> None:
    scope = make_scope(["shots", "notes/a.txt"]).exclude("shots/old").include("shots/old/x", 1)
    covered = [".ditsignore", "shots/1", "shots/a/b/c", "notes/a.txt", "shots/old/x/1"]
    outside = ["shots.txt", "notes/b.txt", "shots/old/1", "shots/old/x/y/1", "a/shots/1"]
    assert [path for path in covered + outside if scope.covers(path)] == covered
    assert scope.measure("") == scope.measure("notes") == scope.measure("shots") == Part.SOME
    assert scope.measure("shots/a") == Part.ALL
    assert scope.measure("shots/old/x") == Part.SOME
    assert scope.measure("shots/old/x/y") == scope.measure("renders") == Part.NOTHING
    assert describe_rules(scope.rules) == (
        "notes/a.txt, shots, without shots/old, shots/old/x (1 level)"
    )


def test_rules_that_say_nothing_new_vanish() -> None:
    assert make_scope([]) == EVERYTHING
    assert not EVERYTHING
    assert EVERYTHING.include("a") == EVERYTHING
    assert EVERYTHING.exclude("a/b").include("a") == EVERYTHING
    assert EVERYTHING.exclude("a").include("a/b").include("") == EVERYTHING
    only = make_scope(["a"])
    assert only.exclude("b") == only
    assert only.include("a/b") == only
    assert only.include("b").exclude("b") == only
    assert only.include("a", 2).exclude("a/b/c").include("a") == only


def list_files(scope: Scope, tree: list[str]) -> set[str]:
    """What `measure` leads to, as walks through trees go."""
    found: set[str] = set()
    for path in tree:
        parts = path.split("/")
        above = ["/".join(parts[:at]) for at in range(len(parts))]
        if all(scope.measure(directory) != Part.NOTHING for directory in above):
            found |= {path} if scope.covers(path) else set()
    return found


def test_directories_and_files_never_contradict_each_other() -> None:
    """A property: a file that is covered is reached, and of a directory that is covered, every file."""
    rng = random.Random(7)
    tree = ["/".join(rng.choices(NAMES, k=rng.randint(1, 5))) for _ in range(80)]
    for _ in range(200):
        scopes = []
        for _ in range(2):
            scope = make_scope(rng.sample(tree, 2), rng.choice([None, 1, 2]))
            for _ in range(rng.randrange(4)):
                path = rng.choice(tree).rpartition("/")[0] or "a"
                levels = rng.choice([None, 1, 3])
                scope = rng.choice([scope.exclude(path), scope.include(path, levels)])
            scopes.append(scope)
        both = join_scopes(scopes)
        for scope in (*scopes, both):
            covered = {path for path in tree if scope.covers(path)}
            assert list_files(scope, tree) == covered
            for directory in {path.rpartition("/")[0] for path in tree}:
                if scope.measure(directory) == Part.ALL:
                    assert {p for p in tree if p.startswith(f"{directory}/")} <= covered
        one, other = ({path for path in tree if scope.covers(path)} for scope in scopes)
        assert {path for path in tree if both.covers(path)} == one | other


def test_trees_are_compared_by_what_each_scope_covers(tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_old_files(tmp_path, {"a/x": b"1", "a/y/z": b"2", "b/x": b"3", "c": b"4"})
    index = Index()
    tree = take_snapshot(tmp_path, index).tree
    loaded = []

    def load(name: bytes) -> bytes:
        loaded.append(name)
        return load_manifest(index, name)

    before, after = make_scope(["a", "c"]), make_scope(["a/x", "b"])
    changes = list(compare_trees(load, tree, tree, scopes=(before, after)))
    assert [(path, bool(old), bool(new)) for path, old, new in changes] == [
        ("a/y/z", True, False),
        ("b/x", False, True),
        ("c", True, False),
    ]
    loaded.clear()
    assert not list(compare_trees(load, tree, tree, scopes=(before, before)))
    assert not loaded
    only = {path for path, _, _ in compare_trees(load, None, tree, scopes=(EVERYTHING, after))}
    assert only == {"a/x", "b/x"}
    assert parse_entries(load_manifest(index, tree))["a"].directory.manifest_hash
