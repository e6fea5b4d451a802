"""What a checkout plans, and that it never leaves the folder."""

from collections.abc import Mapping

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Directory, Entry, Manifest, Symlink
from hypothesis import assume, given
from hypothesis import strategies as st

from dits_client.checkout.plan import CheckoutPlan, make_plan
from dits_client.content.manifest import Change, compare_trees
from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError
from dits_client.workspace.interrupted import InterruptedCheckouts

Tree = Mapping[str, str]


def entry(content: str | None) -> Entry | None:
    return None if content is None else Entry(symlink=Symlink(target=content))


def changes(old: Tree, new: Tree) -> list[Change]:
    found = []
    for path in sorted(old.keys() | new.keys()):
        one, two = old.get(path), new.get(path)
        if one != two:
            found.append(Change(path, entry(one), entry(two)))
    return found


def possible(tree: Tree) -> bool:
    return not any(above in tree for path in tree for above in iterate_parents(path))


trees = st.dictionaries(
    st.sampled_from(["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g"]),
    st.sampled_from(["1", "2", "3"]),
    max_size=5,
).filter(possible)


@given(trees, trees, trees)
def test_a_plan_loses_nothing_and_reaches_the_target(base: Tree, here: Tree, there: Tree) -> None:
    upstream, local = changes(base, there), changes(base, here)
    result = make_plan(upstream, local, force=False)
    if result.conflicts:
        # A conflict is a path that changed here, on or around one that changed there.
        assert set(result.conflicts) <= {change.path for change in local}
        return
    after = {path: text for path, text in here.items() if path not in result.removals}
    after |= {path: written.symlink.target for path, written in result.writes.items()}
    assert possible(after)
    for path in {change.path for change in upstream}:
        assert after.get(path) == there.get(path)
    for change in local:
        if change.path not in {one.path for one in upstream}:
            assert after.get(change.path) == here.get(change.path)


@given(trees, trees, trees)
def test_force_reaches_the_target_on_every_path_that_changed(
    base: Tree, here: Tree, there: Tree
) -> None:
    upstream, local = changes(base, there), changes(base, here)
    result = make_plan(upstream, local, force=True)
    assert not result.conflicts
    after = {path: text for path, text in here.items() if path not in result.removals}
    after |= {path: written.symlink.target for path, written in result.writes.items()}
    assert possible(after)
    for path in {change.path for change in upstream}:
        assert after.get(path) == there.get(path)


@given(trees, trees)
def test_without_local_changes_there_are_no_conflicts(base: Tree, there: Tree) -> None:
    result = make_plan(changes(base, there), [], force=False)
    assert not result.conflicts
    assert set(result.writes) == {path for path, text in there.items() if base.get(path) != text}
    assert set(result.removals) == base.keys() - there.keys()


@given(trees, trees, st.integers(0, 5))
def test_a_broken_off_checkout_can_be_repeated(base: Tree, there: Tree, done: int) -> None:
    todo = make_plan(changes(base, there), [], force=False)
    here = carry_out(base, todo, done)
    assume(possible(here))
    interrupted = InterruptedCheckouts(happened=True)
    again = make_plan(
        changes(base, there), changes(base, here), force=False, interrupted=interrupted
    )
    assert not again.conflicts
    for path in again.removals:
        del here[path]
    here |= {path: one.symlink.target for path, one in again.writes.items()}
    assert here == dict(there)


def test_a_local_deletion_is_a_change_of_the_users() -> None:
    upstream, local = changes({"a": "1"}, {"a": "2"}), changes({"a": "1"}, {})
    assert make_plan(upstream, local, force=False).conflicts == ["a"]
    interrupted = InterruptedCheckouts(happened=True)
    assert list(make_plan(upstream, local, force=False, interrupted=interrupted).writes) == ["a"]


@given(trees, trees, trees, st.integers(0, 5), st.data())
def test_a_broken_off_checkout_is_no_local_change_for_the_next_commit(
    base: Tree, first: Tree, there: Tree, done: int, data: st.DataObject
) -> None:
    here = carry_out(base, make_plan(changes(base, first), [], force=False), done)
    assume(possible(here))
    edited = data.draw(st.sampled_from(["", *here]))
    if edited:
        here[edited] = "by the user"
    written = {change.path: [change.new] for change in changes(base, first)}
    result = make_plan(
        changes(base, there),
        changes(base, here),
        force=False,
        interrupted=InterruptedCheckouts(True, written),
    )
    if result.conflicts:
        assert result.conflicts == [edited]
        return
    after = carry_out(here, result)
    # A file that the user changed and the commit does not have, or has as it was, stays.
    if edited and there.get(edited) == base.get(edited):
        assert after.pop(edited) == "by the user"
        there = {path: text for path, text in there.items() if path != edited}
    assert after == there


@given(trees, trees, trees)
def test_force_brings_back_every_file_of_the_commit(base: Tree, here: Tree, there: Tree) -> None:
    result = make_plan(changes(base, there), changes(base, here), force=True)
    after = carry_out(here, result)
    assert after.items() >= there.items()
    # Nothing but the user's new files is left, and none of those is removed without need.
    assert after.keys() <= here.keys() | there.keys()
    for path in here.keys() - base.keys() - there.keys() - after.keys():
        assert any(
            path in iterate_parents(other) or other in iterate_parents(path) for other in there
        )


def carry_out(here: Tree, plan: CheckoutPlan, steps: int = 100) -> dict[str, str]:
    """Return what is in a folder after the first steps of a plan."""
    after, first = dict(here), plan.list_first_removals()
    todo: list[tuple[str, str | None]] = [(path, None) for path in first]
    todo += [(path, one.symlink.target) for path, one in plan.writes.items()]
    todo += [(path, None) for path in plan.removals if path not in first]
    for path, text in todo[:steps]:
        after.pop(path, None)
        if text is not None:
            after[path] = text
    return after


@pytest.mark.parametrize("path", [".dits", ".DITS/x", "a/.dits/state.json"])
def test_trees_may_not_bring_the_clients_own_files(path: str) -> None:
    with pytest.raises(ClientError, match="reserved for the client"):
        make_plan(changes({}, {path: "x"}), [], force=True)


def test_diff_looks_only_into_what_differs() -> None:
    store: dict[bytes, bytes] = {}

    def put(*entries: Entry) -> bytes:
        content = Manifest(entries=entries).SerializeToString()
        digest = blake3(content).digest()
        store[digest] = content
        return digest

    def link(name: str, target: str) -> Entry:
        return Entry(name=name, symlink=Symlink(target=target))

    def inner(name: str, digest: bytes) -> Entry:
        return Entry(name=name, directory=Directory(manifest_hash=digest))

    same = put(link("x", "1"))
    old = put(inner("a", same), inner("b", put(link("y", "1"))), link("c", "1"))
    new = put(inner("a", same), link("b", "2"), inner("c", put(link("z", "1"))))
    del store[same]
    found = list(compare_trees(store.__getitem__, old, new))
    assert [(c.path, c.old is not None, c.new is not None) for c in found] == [
        ("b", False, True),
        ("b/y", True, False),
        ("c", True, False),
        ("c/z", False, True),
    ]
