"""Repositories are changed, renamed, archived and disabled."""

from __future__ import annotations

from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.repo.v1 import repository_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.repositories import Holding
from tests.support.trees import save

OPERATOR = "site:admin"


async def test_fields_change_and_a_repetition_changes_nothing_more(api: Api) -> None:
    films = await Holding.open(api, "films")
    for _ in range(2):
        changed = await films.update(description="x\ny", visibility=pb.VISIBILITY_PUBLIC)
    assert (changed.description, changed.visibility) == ("x\ny", pb.VISIBILITY_PUBLIC)
    assert changed == await films.get()
    assert (await films.update(description="")).description == ""
    assert await films.events() == ["repo.created", "repo.updated", "repo.updated"]
    assert await films.audited() == ["repository.created"] + ["repository.updated"] * 2
    fields = await api.value("SELECT payload->'fields' FROM events ORDER BY id OFFSET 1 LIMIT 1")
    assert fields == '["description", "visibility"]'


REFUSED: list[tuple[str, dict[str, object], list[str]]] = [
    ("update_mask", {}, []),
    ("update_mask", {}, ["owner"]),
    ("update_mask", {}, ["settings.portable_names"]),
    ("values.name", {}, ["name"]),
    ("values.name", {"name": "a.git"}, ["name"]),
    ("values.description", {"description": "x" * 4097}, ["description"]),
    ("values.description", {"description": "\0"}, ["description"]),
    ("values.visibility", {"visibility": 99}, ["visibility"]),
    ("values.default_branch", {}, ["default_branch"]),
]


async def test_changes_are_held_to_the_rules(api: Api) -> None:
    films = await Holding.open(api)
    for field, values, paths in REFUSED:
        request = pb.UpdateRepositoryRequest(
            repository=films.id,
            values=pb.RepositoryValues(**values),  # type: ignore[arg-type]
            update_mask=FieldMask(paths=paths),
        )
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await api.repositories.UpdateRepository(request, metadata=films.owner.auth)
        assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_former_name_leads_to_the_repository_for_30_days(api: Api) -> None:
    films = await Holding.open(api, "films")
    owner = films.owner.username
    assert (await films.update(name="FILMS")).name == "FILMS"
    assert (await films.update(name="movies")).name == "movies"
    for name in ("films", "Movies"):
        assert (await films.get(f"{owner}/{name}")).id == films.id
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN") as refusal:
        await api.repository(films.owner, "Films")
    assert "is found under this one" in refusal.message
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN") as refusal:
        await api.repository(films.owner, "movies")
    assert "is taken" in refusal.message
    other = Holding(api, films.owner, await api.repository(films.owner, "other"))
    for name in ("films", "movies"):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await other.update(name=name)
    # Another owner's names are other names, and one's own is taken back.
    await api.repository(await api.account(), "films")
    await films.update(name="films")
    assert (await films.get(f"{owner}/movies")).name == "films"
    await api.fetch("UPDATE former_repository_names SET kept_until = now()")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.access.CheckAccess(
            CheckAccessRequest(repository=f"{owner}/movies"), metadata=films.owner.auth
        )
    await other.update(name="movies")
    assert (
        await api.value("SELECT payload->>'previous_name' FROM events ORDER BY id DESC") == "other"
    )


async def test_ten_former_names_are_kept(api: Api) -> None:
    films = await Holding.open(api, "n0")
    for number in range(1, 11):
        await films.update(name=f"n{number}")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED") as refusal:
        await films.update(name="n11")
    assert refusal.metadata == {"kind": "former names", "limit": "10"}
    assert (await films.get()).name == "n10"


async def test_who_may_change_a_repository(api: Api) -> None:
    films = await Holding.open(api)
    admin, writer, stranger = [await api.account() for _ in range(3)]
    await api.grant(films.repository, admin, "admin")
    await api.grant(films.repository, writer, "write")
    await films.update(admin, description="by admin")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
        await films.update(admin, name="other")
    assert films.owner.username in refusal.metadata["required"]
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await films.update(writer, description="x")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await films.update(stranger, description="x")
    token = await api.api_token(films.owner, "repo:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await films.update(token, description="x")


async def test_the_default_branch_is_one_that_exists(api: Api) -> None:
    films = await Holding.open(api)
    await films.update(default_branch="trunk")
    head = await save(api, films.owner, films.repository, {"a": b"1"}, branch="trunk")
    await Branches(api, films.repository, films.owner).create("side", head)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await films.update(default_branch="main")
    assert (await films.update(default_branch="side")).default_branch == "side"
    rows = await api.fetch("SELECT name FROM branches WHERE is_default")
    assert [row["name"] for row in rows] == ["side"]


async def test_an_archived_repository_changes_only_back(api: Api) -> None:
    films = await Holding.open(api)
    first = await save(api, films.owner, films.repository, {"a": b"1"})
    for _ in range(2):
        assert (await films.update(archived=True)).archived
    for change in ({"description": "x"}, {"archived": True, "name": "x"}):
        with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
            await films.update(**change)
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await save(api, films.owner, films.repository, {"a": b"2"}, parent=first)
    assert (await films.update(archived=False, description="back")).description == "back"
    await save(api, films.owner, films.repository, {"a": b"2"}, parent=first)


async def test_the_operator_disables_a_repository(api: Api) -> None:
    films = await Holding.open(api)
    operator = await api.api_token(await api.account(), OPERATOR)
    for _ in range(2):
        await films.set_disabled(operator, "licence dispute")
    shown = await films.get()
    assert (shown.disabled, shown.disabled_reason) == (True, "licence dispute")
    for call in (
        films.update(description="x"),
        films.update(archived=False),
        films.delete(),
        save(api, films.owner, films.repository, {"a": b"1"}),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
            await call
    for who in (films.owner, await api.api_token(films.owner, "repo:admin")):
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
            await films.set_disabled(who)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await films.set_disabled(operator, " ")
    await films.set_disabled(operator)
    assert not (await films.get()).disabled
    assert await films.audited() == [
        "repository.created", "repository.disabled", "repository.enabled",
    ]  # fmt: skip
