"""Repositories, branches, commits and trees."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1 import commit_service_pb2 as commit_pb
from dits.repo.v1 import ref_service_pb2 as ref_pb
from dits.repo.v1 import repository_service_pb2 as pb
from dits.repo.v1 import tree_service_pb2 as tree_pb
from dits.repo.v1.manifest_pb2 import Manifest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.trees import build, commit, push, save, update, upload

NEGATIVE_SIZE = pb.RepositorySettings(max_file_size_bytes=-1)
DOTTED_EXTENSION = pb.RepositorySettings(allowed_extensions=[".exr"])


async def test_a_repository_is_found_by_id_and_by_name(api: Api) -> None:
    ada = await api.account("ada")
    made = await api.repository(ada, "Films", must_lock=True)
    for address in (made.id, made.id.upper(), "ada/Films", "ADA/films"):
        got = await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=address), metadata=ada.auth
        )
        assert got.repository == made
    assert (made.owner, made.name, made.default_branch) == ("ada", "Films", "main")
    assert made.permission == Permission.PERMISSION_ADMIN
    assert made.settings.require_lock_for_edit
    assert not made.HasField("push_time")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": ""}),
        ("name", {"name": ".."}),
        ("name", {"name": "a/b"}),
        ("name", {"name": "a.GIT"}),
        ("name", {"name": "x" * 101}),
        ("description", {"name": "a", "description": "x" * 4097}),
        ("visibility", {"name": "a", "visibility": 99}),
        ("default_branch", {"name": "a", "default_branch": "-x"}),
        ("settings.max_file_size_bytes", {"name": "a", "settings": NEGATIVE_SIZE}),
        ("settings.allowed_extensions", {"name": "a", "settings": DOTTED_EXTENSION}),
        ("request_id", {"name": "a", "request_id": "1"}),
    ],
)  # fmt: skip
async def test_new_repositories_are_held_to_the_rules(
    api: Api, field: str, fields: dict[str, object]
) -> None:
    ada = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.repositories.CreateRepository(
            pb.CreateRepositoryRequest(**fields),  # type: ignore[arg-type]
            metadata=ada.auth,
        )
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_names_are_unique_per_owner_without_regard_to_case(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    await api.repository(ada, "films")
    await api.repository(bob, "films")
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.repository(ada, "FILMS")


async def test_creating_replays_by_request_id(api: Api) -> None:
    ada = await api.account()
    request = pb.CreateRepositoryRequest(name="films", request_id=str(uuid.uuid4()))
    calls = [api.repositories.CreateRepository(request, metadata=ada.auth) for _ in range(3)]
    first, *others = await asyncio.gather(*calls)
    assert all(other == first for other in others)


async def test_nobody_creates_under_other_names(api: Api) -> None:
    ada = await api.account()
    await api.account("bob")
    for owner, code, reason in (
        ("bob", StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"),
        ("nobody", StatusCode.NOT_FOUND, "NOT_FOUND"),
    ):
        with refused(code, reason):
            await api.repositories.CreateRepository(
                pb.CreateRepositoryRequest(owner=owner, name="x"), metadata=ada.auth
            )


async def test_private_and_absent_look_alike(api: Api) -> None:
    ada, eve = await api.account("ada"), await api.account()
    made = await api.repository(ada, "films")
    told = []
    for address in (made.id, str(uuid.uuid4()), "ada/films", "ada/nothing", "nobody/films"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND") as refusal:
            await api.repositories.GetRepository(
                pb.GetRepositoryRequest(repository=address), metadata=eve.auth
            )
        told.append(refusal.message.replace(address, "*"))
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.repositories.GetRepository(pb.GetRepositoryRequest(repository=address))
    assert len(set(told)) == 1


async def test_visibility_opens_reading_only(api: Api) -> None:
    ada, eve = await api.account(), await api.account()
    public = await api.repository(ada, visibility=pb.VISIBILITY_PUBLIC)
    internal = await api.repository(ada, visibility=pb.VISIBILITY_INTERNAL)
    for repository in (public, internal):
        got = await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=repository.id), metadata=eve.auth
        )
        assert got.repository.permission == Permission.PERMISSION_READ
        with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
            await api.refs.CreateBranch(
                ref_pb.CreateBranchRequest(repository=repository.id, name="x", head="ab" * 32),
                metadata=eve.auth,
            )
    await api.repositories.GetRepository(pb.GetRepositoryRequest(repository=public.id))
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.repositories.GetRepository(pb.GetRepositoryRequest(repository=internal.id))


async def test_rights_come_from_organisations_and_teams(api: Api) -> None:
    owner, member, artist, clerk = [await api.account() for _ in range(4)]
    org = await api.value(
        "INSERT INTO organizations (name, display_name) VALUES ('studio', 'Studio') RETURNING id"
    )
    for user, role in (
        (owner, "owner"),
        (member, "member"),
        (artist, "member"),
        (clerk, "billing"),
    ):
        await api.fetch("INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, $3)",
                        org, user.id, role)  # fmt: skip
    request = pb.CreateRepositoryRequest(owner="Studio", name="film")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await api.repositories.CreateRepository(request, metadata=member.auth)
    made = (await api.repositories.CreateRepository(request, metadata=owner.auth)).repository
    team = await api.value("INSERT INTO teams (org_id, name) VALUES ($1, 'fx') RETURNING id", org)
    await api.fetch("INSERT INTO team_members (team_id, user_id) VALUES ($1, $2)", team, artist.id)
    await api.fetch(
        """INSERT INTO team_repositories (team_id, repo_id, permission)
           VALUES ($1, $2::uuid, 'write')""",
        team,
        made.id,
    )
    expected = {
        owner: Permission.PERMISSION_ADMIN,
        member: Permission.PERMISSION_READ,
        artist: Permission.PERMISSION_WRITE,
    }
    for user, permission in expected.items():
        listed = await api.repositories.ListRepositories(
            pb.ListRepositoriesRequest(), metadata=user.auth
        )
        assert [(r.id, r.permission) for r in listed.repositories] == [(made.id, permission)]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=made.id), metadata=clerk.auth
        )


async def test_listing_pages_through_what_one_works_with(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    mine = [await api.repository(ada, f"r{n}") for n in range(5)]
    await api.repository(bob, "hidden")
    shared = await api.repository(bob, "shown", visibility=pb.VISIBILITY_PUBLIC)
    await api.grant(shared, ada, "write")
    seen: list[str] = []
    token = ""
    while True:
        page = await api.repositories.ListRepositories(
            pb.ListRepositoriesRequest(page_size=2, page_token=token), metadata=ada.auth
        )
        seen += [r.id for r in page.repositories]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(r.id for r in [*mine, shared])
    of_bob = await api.repositories.ListRepositories(
        pb.ListRepositoriesRequest(owner=bob.username), metadata=ada.auth
    )
    assert [r.name for r in of_bob.repositories] == ["shown"]


async def test_a_limited_token_sees_only_its_repositories(api: Api) -> None:
    ada = await api.account()
    one, two = await api.repository(ada), await api.repository(ada)
    limited = await api.api_token(ada, "repo:read", repositories=[uuid.UUID(one.id)])
    listed = await api.repositories.ListRepositories(
        pb.ListRepositoriesRequest(), metadata=limited.auth
    )
    assert [r.id for r in listed.repositories] == [one.id]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=two.id), metadata=limited.auth
        )


async def test_branches(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a": b"1"})
    second = await save(api, ada, repository, {"a": b"2"}, parent=first)
    create = ref_pb.CreateBranchRequest(repository=repository.id, name="look/dev", head=first)
    for _ in range(2):
        made = (await api.refs.CreateBranch(create, metadata=ada.auth)).branch
        assert (made.name, made.head, made.is_default) == ("look/dev", first, False)
    create.head = second
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.refs.CreateBranch(create, metadata=ada.auth)
    create.name, create.head = "x", "12" * 32
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.refs.CreateBranch(create, metadata=ada.auth)
    move = ref_pb.UpdateBranchRequest(
        repository=repository.id, name="look/dev", expected_head=first, new_head=second
    )
    for _ in range(2):
        assert (await api.refs.UpdateBranch(move, metadata=ada.auth)).branch.head == second
    move.new_head = first
    with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
        move.expected_head = "ab" * 32
        await api.refs.UpdateBranch(move, metadata=ada.auth)
    assert refusal.metadata["current"] == second
    move.expected_head = second
    with refused(StatusCode.FAILED_PRECONDITION, "NOT_FAST_FORWARD"):
        await api.refs.UpdateBranch(move, metadata=ada.auth)
    listed = await api.refs.ListBranches(
        ref_pb.ListBranchesRequest(repository=repository.id), metadata=ada.auth
    )
    assert [b.name for b in listed.branches] == ["look/dev", "main"]
    delete = ref_pb.DeleteBranchRequest(
        repository=repository.id, name="look/dev", expected_head=first
    )
    with refused(StatusCode.ABORTED, "HEAD_MOVED"):
        await api.refs.DeleteBranch(delete, metadata=ada.auth)
    delete.expected_head = second
    await api.refs.DeleteBranch(delete, metadata=ada.auth)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.refs.DeleteBranch(delete, metadata=ada.auth)
    delete.name = "main"
    with refused(StatusCode.FAILED_PRECONDITION, "DEFAULT_BRANCH"):
        await api.refs.DeleteBranch(delete, metadata=ada.auth)
    assert await api.value("SELECT branch_count FROM repository_stats") == 1


async def test_of_two_moves_of_a_branch_one_wins(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a": b"1"})
    tree = build({"a": b"2"})
    await upload(api, ada, repository, tree.chunks)
    commits = [commit(tree, first) for _ in range(3)]
    names = [commit_hash(c) for c in commits]
    await push(
        api, ada, repository, commits, [update(f"b{i}", "", n) for i, n in enumerate(names)], [tree]
    )
    moves = [
        api.refs.UpdateBranch(
            ref_pb.UpdateBranchRequest(
                repository=repository.id, name="main", expected_head=first, new_head=name
            ),
            metadata=ada.auth,
        )
        for name in names
    ]
    results = await asyncio.gather(*moves, return_exceptions=True)
    failed = [r for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert len(failed) == 2
    assert {error.code() for error in failed} == {StatusCode.ABORTED}


async def test_a_protected_branch_only_moves_forward(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    repository = await api.repository(ada)
    await api.grant(repository, bob, "write")
    first = await save(api, ada, repository, {"a": b"1"})
    second = await save(api, ada, repository, {"a": b"2"}, parent=first)
    await api.fetch("""UPDATE branches SET protection = '{"push": "admin"}'""")
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await push(api, ada, repository, [], [update("main", second, first, force=True)])
    assert refusal.metadata == {"branch": "main", "rule": "forward_only"}
    with refused(StatusCode.FAILED_PRECONDITION, "BRANCH_PROTECTED") as refusal:
        await save(api, bob, repository, {"a": b"3"}, parent=second)
    assert refusal.metadata == {"branch": "main", "rule": "admins_only"}
    await save(api, ada, repository, {"a": b"3"}, parent=second)


async def test_commits_come_children_first_and_each_once(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a": b"1"})
    await upload(api, ada, repository, tree.chunks)
    made = [commit(tree, message="root")]
    names = [commit_hash(made[0])]
    # A ladder of merges: every rung joins the two before it.
    for n in range(30):
        parents = [names[-1]] if n == 0 else [names[-1], names[-2]]
        made.append(commit(tree, *parents, message=str(n)))
        names.append(commit_hash(made[-1]))
    await push(api, ada, repository, made, [update("main", "", names[-1])], [tree])
    seen: list[str] = []
    token = ""
    while True:
        page = await api.commits.ListCommits(
            commit_pb.ListCommitsRequest(repository=repository.id, page_size=7, page_token=token),
            metadata=ada.auth,
        )
        seen += [c.hash for c in page.commits]
        token = page.next_page_token
        if not token:
            break
    assert seen == names[::-1]


async def test_a_commit_reads_back_as_it_was_pushed(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    name = await save(api, ada, repository, {"a": b"1"}, message="first ☃")
    for revision in (name, "main", ""):
        got = await api.commits.GetCommit(
            commit_pb.GetCommitRequest(repository=repository.id, revision=revision),
            metadata=ada.auth,
        )
        assert (got.commit.hash, got.commit.message) == (name, "first ☃")
        assert got.commit.tree_hash == build({"a": b"1"}).root
        assert got.commit.author.name == "Ada"
    for revision in ("nothing", "12" * 32):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.commits.GetCommit(
                commit_pb.GetCommitRequest(repository=repository.id, revision=revision),
                metadata=ada.auth,
            )


async def test_trees(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    files: dict[str, bytes | str] = {
        "b/c/deep": b"x" * 1500,
        "b/two": b"2",
        "a": b"1",
        "link": "b/two",
    }
    name = await save(api, ada, repository, files)
    tree = build(files)

    async def listing(path: str, size: int = 0) -> list[tuple[str, int, int, str]]:
        entries: list[tuple[str, int, int, str]] = []
        token = ""
        while True:
            page = await api.trees.ListDirectory(
                tree_pb.ListDirectoryRequest(
                    repository=repository.id, path=path, page_size=size, page_token=token
                ),
                metadata=ada.auth,
            )
            assert page.commit_hash == name
            entries += [(e.name, e.kind, e.size, e.target) for e in page.entries]
            token = page.next_page_token
            if not token:
                return entries

    file, directory, link = (
        tree_pb.ENTRY_KIND_FILE,
        tree_pb.ENTRY_KIND_DIRECTORY,
        tree_pb.ENTRY_KIND_SYMLINK,
    )
    top = [("a", file, 1, ""), ("b", directory, 1501, ""), ("link", link, 0, "b/two")]
    assert await listing("") == await listing("", 1) == top
    assert await listing("b/c") == [("deep", file, 1500, "")]
    for path in ("nothing", "a/b", "link/x"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await listing(path)
    for path in ("/b", "b//c", "b/../b", "b\\c", "b/"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await listing(path)
    got = await api.trees.GetEntry(
        tree_pb.GetEntryRequest(repository=repository.id, path="b/c/deep"), metadata=ada.auth
    )
    assert (got.entry.size, got.entry.chunk_count) == (1500, 2)
    assert len(got.stored.file.chunk_hashes) == 64
    top_manifest = await api.trees.GetManifest(
        tree_pb.GetManifestRequest(repository=repository.id, hash=tree.root), metadata=ada.auth
    )
    assert top_manifest.content == tree.manifests[tree.root]
    assert (top_manifest.entry_count, top_manifest.total_size) == (6, 1502)


async def test_a_tree_streams_parents_first_without_what_the_client_has(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    files: dict[str, bytes | str] = {"b/c/deep": b"x", "b/two": b"2", "d/c/deep": b"x", "a": b"1"}
    await save(api, ada, repository, files)
    tree = build(files)

    async def streamed(have: bytes = b"") -> list[bytes]:
        request = tree_pb.StreamTreeRequest(repository=repository.id, have_hashes=have)
        return [
            content
            async for message in api.trees.StreamTree(request, metadata=ada.auth)
            for content in message.manifests
        ]

    contents = await streamed()
    assert sorted(contents) == sorted(tree.manifests.values())
    placed = {content_hash(content): n for n, content in enumerate(contents)}
    for content in contents:
        for entry in Manifest.FromString(content).entries:
            if entry.HasField("directory"):
                child = entry.directory.manifest_hash.hex()
                assert placed[content_hash(content)] < placed[child]
    assert await streamed(bytes.fromhex(tree.root)) == []
    (deep,) = {n for n, c in tree.manifests.items() if b"deep" in c}
    assert len(await streamed(bytes.fromhex(deep))) == len(contents) - 1
