"""The rules for pushes are changed, and the next push is held to them."""

from __future__ import annotations

from typing import Any

import pytest
from dits.repo.v1 import repository_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.repositories import Holding
from tests.support.trees import save

REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("update_mask", {}, []),
    ("update_mask", {}, ["webhook_secret"]),
    ("settings.max_file_size_bytes", {"max_file_size_bytes": -1}, ["max_file_size_bytes"]),
    ("settings.allowed_extensions", {"allowed_extensions": [".exr"]}, ["allowed_extensions"]),
    ("settings.lock_patterns", {"lock_patterns": [""]}, ["lock_patterns"]),
    ("settings.on_demand_patterns", {"on_demand_patterns": [""]}, ["on_demand_patterns"]),
    ("settings.lock_patterns", {"lock_patterns": ["a\nb"]}, ["lock_patterns"]),
    ("settings.lock_patterns", {"lock_patterns": ["x" * 257]}, ["lock_patterns"]),
]


async def update(films: Holding, who: Account | None = None, **rules: Any) -> pb.RepositorySettings:
    """UpdateRepositorySettings, of the rules that are given."""
    request = pb.UpdateRepositorySettingsRequest(
        repository=films.id,
        settings=pb.RepositorySettings(**rules),
        update_mask=FieldMask(paths=list(rules)),
    )
    auth = (who or films.owner).auth
    answer = await films.api.repositories.UpdateRepositorySettings(request, metadata=auth)
    return answer.settings


async def test_rules_are_changed_one_by_one(api: Api) -> None:
    films = await Holding.open(api, must_lock=True)
    for _ in range(2):
        changed = await update(
            films, allowed_extensions=["EXR", "blend"], max_file_size_bytes=3, portable_names=False
        )
    expected = pb.RepositorySettings(
        require_lock_for_edit=True,
        max_file_size_bytes=3,
        allowed_extensions=["blend", "exr"],
        portable_names=False,
    )
    assert changed == expected == (await films.get()).settings
    request = pb.GetRepositorySettingsRequest(repository=films.id)
    got = await api.repositories.GetRepositorySettings(request, metadata=films.owner.auth)
    assert got.settings == expected
    for name in ("a.txt", "b.exr"):
        with refused(StatusCode.FAILED_PRECONDITION, "FILE_REFUSED"):
            await save(api, films.owner, films.repository, {name: b"1234"})
    cleared = await update(films, allowed_extensions=[], max_file_size_bytes=0)
    assert not cleared.allowed_extensions
    await save(api, films.owner, films.repository, {"CON": b"1234", "a": b"", "A": b""})
    assert (await films.events()).count("repo.updated") == 2
    fields = await api.value("SELECT payload->'fields'->>0 FROM events WHERE type = 'repo.updated'")
    assert fields == "settings.allowed_extensions"


async def test_rules_are_held_to_the_rules(api: Api) -> None:
    films = await Holding.open(api)
    for field, rules, paths in REFUSED:
        request = pb.UpdateRepositorySettingsRequest(
            repository=films.id,
            settings=pb.RepositorySettings(**rules),
            update_mask=FieldMask(paths=paths),
        )
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await api.repositories.UpdateRepositorySettings(request, metadata=films.owner.auth)
        assert refusal.detail(BadRequest).field_violations[0].field == field
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await update(films, lock_patterns=["x"] * 101)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await update(films, on_demand_patterns=["x"] * 101)
    writer = await api.account()
    await api.grant(films.repository, writer, "write")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await update(films, writer, portable_names=False)
    await films.update(archived=True)
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await update(films, portable_names=False)


async def test_lock_patterns_say_which_files_need_a_lock(api: Api) -> None:
    films = await Holding.open(api, must_lock=True)
    files: dict[str, bytes | str] = {"a.blend": b"1", "n.txt": b"1", "shots/n.txt": b"1"}
    head = await save(api, films.owner, films.repository, files)
    await update(films, lock_patterns=["*.BLEND", "*.blend", "/shots/", "!readme.txt"])
    changes: list[tuple[dict[str, bytes | str], str]] = [
        ({"a.blend": b"2"}, "a.blend"),
        ({"shots/n.txt": b"2"}, "shots/n.txt"),
        ({"n.txt": b"2", "a.blend": b"2"}, "a.blend"),
    ]
    for change, path in changes:
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED") as refusal:
            await save(api, films.owner, films.repository, {**files, **change}, parent=head)
        assert refusal.metadata == {"count": "1", "path": path}
    change = {"n.txt": b"2"}
    head = await save(api, films.owner, films.repository, {**files, **change}, parent=head)
    await update(films, lock_patterns=[])
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED"):
        await save(api, films.owner, films.repository, files, parent=head)


@pytest.mark.parametrize("of_owner", [True, False])
async def test_repositories_with_many_patterns_are_listed_as_far_as_they_fit(
    api: Api, of_owner: bool
) -> None:
    ada = await api.account()
    names = [(await api.repository(ada, f"r{n:02}")).name for n in range(70)]
    await api.fetch(
        "UPDATE repository_settings SET lock_patterns = array_fill(repeat('x', 250), ARRAY[100]),"
        " on_demand_patterns = array_fill(repeat('y', 250), ARRAY[100])"
    )
    request = pb.ListRepositoriesRequest(owner=ada.username if of_owner else "", page_size=1_000)
    found: list[str] = []
    pages = 0
    while not pages or request.page_token:
        page = await api.repositories.ListRepositories(request, metadata=ada.auth)
        assert page.ByteSize() < 4 << 20
        found += [repository.name for repository in page.repositories]
        request.page_token, pages = page.next_page_token, pages + 1
    assert (found, pages) == (names, 2)
