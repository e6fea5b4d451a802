"""Shelves: locks are not about them, nobody is told of them, and nothing passes a lock by way of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dits.common.v1.event_pb2 import EventType
from dits.lock.v1 import lock_service_pb2 as lock_pb
from dits.repo.v1 import merge_pb2
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1 import repository_service_pb2 as repository_pb
from dits.repo.v1.commit_service_pb2 import RefUpdate
from dits.repo.v1.manifest_pb2 import CommitContent
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches, open_pair
from tests.support.notifications import list_told, until
from tests.support.tags import Tags, move_tag
from tests.support.trees import Tree, build, commit, push, save, update, upload
from tests.support.webhooks import Hooks

SHELF = "shelves/ada/1"


async def lock(branches: Branches, *, on_push: bool = False) -> str:
    """A lock on the file `a`; its id."""
    request = lock_pb.AcquireLocksRequest(
        repository=branches.repository.id, paths=["a"], release_on_push=on_push
    )
    answer = await branches.api.locks.AcquireLocks(request, metadata=branches.who.auth)
    return answer.results[0].lock.id


async def shelve(branches: Branches, text: str, parent: str, message: str = "") -> str:
    """Pushes a new shelf, with another version of the file `a`; returns its commit."""
    tree = build({"a": text.encode()})
    await upload(branches.api, branches.who, branches.repository, tree.chunks)
    made = commit(tree, parent, message=message)
    await move(branches, update(SHELF, "", commit_hash(made)), commits=[made], trees=[tree])
    return commit_hash(made)


async def shelved(api: Api) -> tuple[Branches, str, str]:
    """A repository whose file another user has locked; the heads of main and of a shelf that changes it."""
    ada, bob = await open_pair(api)
    first = await ada.save("1")
    await lock(bob)
    return ada, first, await shelve(ada, "2", first)


async def move(
    branches: Branches,
    *updates: RefUpdate,
    commits: Sequence[CommitContent] = (),
    trees: Sequence[Tree] = (),
) -> Sequence[str]:
    """Pushes; returns the locks that were released."""
    answer = await push(branches.api, branches.who, branches.repository, commits, updates, trees)
    return answer.released_lock_ids


async def merge(branches: Branches, target: str, head: str, *, keep: bool = False) -> str:
    request = merge_pb2.MergeBranchesRequest(
        repository=branches.repository.id,
        target=target,
        expected_head=head,
        source=SHELF,
        no_fast_forward=keep,
    )
    return str((await branches.api.refs.MergeBranches(request, metadata=branches.who.auth)).head)


async def push_above(branches: Branches, shelf: str, branch: str, old: str) -> None:
    """Pushes a commit whose parent is the shelf's, and which changes nothing itself."""
    made = commit(build({"a": b"2"}), shelf)
    await move(branches, update(branch, old, commit_hash(made)), commits=[made])


async def test_locks_of_others_do_not_judge_shelves(api: Api) -> None:
    ada, first, shelf = await shelved(api)
    third = await ada.save("3", parent=shelf, branch=SHELF)
    await ada.update(SHELF, third, first, force=True)
    await ada.update(SHELF, first, third)
    await ada.create("shelves/ada/2", shelf)
    await ada.rename("shelves/ada/2", "shelves/ada/3")
    assert await merge(ada, "shelves/ada/3", shelf) == third
    await ada.delete(SHELF, third)
    assert (await ada.get("shelves/ada/3")).head == third


async def test_shelves_need_no_locks_and_end_none(api: Api) -> None:
    who = await api.account()
    ada = Branches(api, await api.repository(who, must_lock=True), who)
    first = await ada.save("1")
    shelf = await shelve(ada, "2", first)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED"):
        await ada.create("side", shelf)
    held = await lock(ada, on_push=True)
    third = await ada.save("3", parent=shelf, branch=SHELF)
    await ada.update(SHELF, third, shelf, force=True)
    await ada.create("shelves/ada/2", third)
    request = lock_pb.ListLocksRequest(repository=ada.repository.id)
    found = await api.locks.ListLocks(request, metadata=who.auth)
    assert [lock.id for lock in found.locks] == [held]
    # A push that moves a branch as well is judged by that one.
    made = commit(build({"a": b"3"}), first)
    moves = [update("main", first, commit_hash(made)), update(SHELF, shelf, third)]
    assert list(await move(ada, *moves, commits=[made])) == [held]


async def test_nothing_passes_a_lock_by_way_of_a_shelf(api: Api) -> None:
    ada, first, shelf = await shelved(api)
    # Tags do not help.
    await Tags(ada, ada.who).create("v1", shelf)
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "push moves": lambda: move(ada, update("main", first, shelf)),
        "push creates": lambda: move(ada, update("side", "", shelf)),
        "push beside a shelf": lambda: move(
            ada, update("side", "", shelf), update("shelves/ada/2", "", shelf)
        ),
        "push with a tag": lambda: move(ada, update("side", "", shelf), move_tag("v2", "", shelf)),
        "push above moves": lambda: push_above(ada, shelf, "main", first),
        "push above creates": lambda: push_above(ada, shelf, "side", ""),
        "CreateBranch": lambda: ada.create("side", shelf),
        "UpdateBranch": lambda: ada.update("main", first, shelf),
        "merge moves": lambda: merge(ada, "main", first),
        "merge commits": lambda: merge(ada, "main", first, keep=True),
    }
    for way in ways.values():
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
            await way()
    # Nor is it enough that the shelf is gone.
    await ada.delete(SHELF, shelf)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await ada.create("side", shelf)
    assert await ada.names() == ["main"]
    assert (await ada.get("main")).head == first
    await api.fetch("UPDATE locks SET expires_at = locked_at + interval '1 microsecond'")
    for name in ("CreateBranch", "UpdateBranch"):
        await ways[name]()


async def test_a_shelf_stays_one(api: Api) -> None:
    ada, first, shelf = await shelved(api)
    await ada.create("side", first)
    for name, new_name in ((SHELF, "side2"), ("side", "shelves/side"), ("main", "shelves/main")):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await ada.rename(name, new_name)
    request = repository_pb.UpdateRepositoryRequest(
        repository=ada.repository.id,
        values=repository_pb.RepositoryValues(default_branch=SHELF),
        update_mask=FieldMask(paths=["default_branch"]),
    )
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.repositories.UpdateRepository(request, metadata=ada.who.auth)
    new = repository_pb.CreateRepositoryRequest(name="other", default_branch="shelves/x")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.repositories.CreateRepository(new, metadata=ada.who.auth)
    assert (await ada.get()).head == first
    assert (await ada.get(SHELF)).head == shelf


async def test_shelves_are_listed_to_who_asks_for_them(api: Api) -> None:
    ada, _, shelf = await shelved(api)
    await ada.create("shelves/ada/2", shelf)
    assert await ada.names() == ["main"]
    assert await ada.names("shelves/") == []
    request = pb.ListBranchesRequest(
        repository=ada.repository.id, include_shelves=True, page_size=2
    )
    page = await api.refs.ListBranches(request, metadata=ada.who.auth)
    assert [branch.name for branch in page.branches] == ["main", SHELF]
    request.page_token = page.next_page_token
    page = await api.refs.ListBranches(request, metadata=ada.who.auth)
    assert [branch.name for branch in page.branches] == ["shelves/ada/2"]
    request.include_shelves = False
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.refs.ListBranches(request, metadata=ada.who.auth)


async def test_colleagues_who_may_write_take_shelves_over(api: Api) -> None:
    ada, bob = await open_pair(api)
    first = await ada.save("1")
    shelf = await shelve(ada, "2", first)
    await bob.update(SHELF, shelf, first, force=True)
    await bob.delete(SHELF, first)
    eve = Branches(api, ada.repository, await api.account())
    await api.grant(ada.repository, eve.who, "read")
    await ada.create(SHELF, shelf)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await eve.delete(SHELF, shelf)


async def test_nobody_is_told_of_shelves(api: Api) -> None:
    ada, bob = await open_pair(api)
    first = await ada.save("1")
    hooks = Hooks(api, ada.who, {"repository": ada.repository.id})
    webhook = await hooks.create("https://ci.example/hook")
    before = await api.value("SELECT max(id) FROM events")
    shelf = await shelve(ada, "2", first, f"@{bob.who.username} look")
    await ada.update(SHELF, shelf, first, force=True)
    await ada.create("shelves/ada/2", shelf)
    await ada.rename("shelves/ada/2", "shelves/ada/3")
    await ada.delete("shelves/ada/3", shelf)
    # This one is told of, without the shelf beside it.
    await move(ada, update("main", first, shelf), update(SHELF, first, shelf))
    rows = await api.fetch("SELECT type, payload FROM events WHERE id > $1 ORDER BY id", before)
    assert [row["type"] for row in rows] == ["branch.deleted", "push"]
    assert SHELF not in rows[1]["payload"]
    assert await list_told(api, bob.who) == []
    await until(api, "SELECT EXISTS (SELECT FROM webhook_deliveries WHERE event = 'push')")
    sent = await hooks.list_deliveries(webhook.id)
    assert [delivery.event_type for delivery in sent] == [EventType.EVENT_TYPE_PUSH]


async def test_a_long_shelf_is_judged_by_what_its_commits_changed(api: Api) -> None:
    ada, bob = await open_pair(api)
    files = {"a": b"1", "b": b"1"}
    first = await save(api, ada.who, ada.repository, files)
    # Nobody but the shelf reaches them: more than a walk reads at first.
    tree = build(files | {"b": b"2"})
    await upload(api, ada.who, ada.repository, tree.chunks)
    line = [commit(tree, first)]
    for _ in range(150):
        line.append(commit(tree, commit_hash(line[-1])))
    shelf = commit_hash(line[-1])
    await move(ada, update(SHELF, "", shelf), commits=line, trees=[tree])
    await save(api, bob.who, bob.repository, files | {"a": b"2"}, parent=first)
    await lock(bob)
    # The file that is locked is an old one there, and none of the commits touches it.
    await ada.create("side", shelf)
    await ada.delete("side", shelf)
    changed = build({"a": b"3", "b": b"2"})
    await upload(api, ada.who, ada.repository, changed.chunks)
    last = commit(changed, shelf)
    await move(ada, update(SHELF, shelf, commit_hash(last)), commits=[last], trees=[changed])
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await ada.create("side", commit_hash(last))
