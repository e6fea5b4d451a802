"""BatchCheckAccess: many questions, each answered as CheckAccess answers."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from dits.auth.v1 import access_service_pb2 as pb
from dits.common.v1 import permission_pb2 as permission
from dits.repo.v1.repository_service_pb2 import VISIBILITY_PUBLIC
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused

READ, WRITE, ADMIN = (
    permission.PERMISSION_READ,
    permission.PERMISSION_WRITE,
    permission.PERMISSION_ADMIN,
)


async def ask(
    api: Api, who: Account, *questions: tuple[str, permission.Permission.ValueType]
) -> list[pb.AccessAnswer]:
    """Returns the answers to pairs of a repository and a permission."""
    request = pb.BatchCheckAccessRequest(
        checks=[pb.AccessCheck(repository=name, permission=asked) for name, asked in questions]
    )
    return list((await api.access.BatchCheckAccess(request, metadata=who.auth)).answers)


async def test_each_question_has_its_answer_in_order(api: Api) -> None:
    ada, bob = await api.account("ada"), await api.account()
    films = await api.repository(ada, "films")
    await api.grant(films, bob, "write")
    own = await api.repository(bob)
    answers = await ask(
        api, bob, (films.id, ADMIN), ("ADA/Films", WRITE), (films.id.upper(), READ), (own.id, ADMIN)
    )
    assert [answer.allowed for answer in answers] == [False, True, True, True]
    assert [answer.repository_id for answer in answers] == [films.id] * 3 + [own.id]
    assert [answer.permission for answer in answers] == [WRITE] * 3 + [ADMIN]


async def test_what_is_not_seen_and_what_is_not_there_are_alike(api: Api) -> None:
    ada, bob = await api.account("ada"), await api.account()
    hidden, gone = await api.repository(ada, "hidden"), await api.repository(ada, "gone")
    await api.fetch("UPDATE repositories SET deleted_at = now() WHERE id = $1::uuid", gone.id)
    asked = (hidden.id, "ada/hidden", gone.id, "ada/gone", str(uuid4()), "ada/none", "nobody/none")
    answers = await ask(api, bob, *((name, READ) for name in asked))
    assert answers == [pb.AccessAnswer()] * len(asked)
    shown = await api.repository(ada, "shown", visibility=VISIBILITY_PUBLIC)
    [answer] = await ask(api, bob, (shown.id, READ))
    assert answer == pb.AccessAnswer(allowed=True, repository_id=shown.id, permission=READ)


async def test_a_limited_token_sees_only_its_repositories(api: Api) -> None:
    ada = await api.account()
    inside, outside = await api.repository(ada), await api.repository(ada)
    machine = await api.api_token(ada, repositories=[UUID(inside.id)])
    answers = await ask(api, machine, (inside.id, ADMIN), (outside.id, READ))
    assert [answer.allowed for answer in answers] == [True, False]
    assert answers[1] == pb.AccessAnswer()


@pytest.mark.parametrize(
    ("count", "code", "reason"),
    [
        (0, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (1001, StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"),
    ],
)
async def test_a_batch_has_1_to_1000_questions(
    api: Api, count: int, code: StatusCode, reason: str
) -> None:
    ada = await api.account()
    with refused(code, reason):
        await ask(api, ada, *[(str(uuid4()), READ)] * count)
    assert len(await ask(api, ada, *[(str(uuid4()), READ)] * 1000)) == 1000


@pytest.mark.parametrize(
    ("name", "asked", "field"),
    [
        ("", READ, "checks[1].repository"),
        ("a/b/c", READ, "checks[1].repository"),
        ("ada/films", permission.PERMISSION_UNSPECIFIED, "checks[1].permission"),
        ("ada/films", 17, "checks[1].permission"),
    ],
)
async def test_a_wrong_question_is_named(
    api: Api, name: str, asked: permission.Permission.ValueType, field: str
) -> None:
    ada = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await ask(api, ada, (str(uuid4()), READ), (name, asked))
    assert refusal.detail(BadRequest).field_violations[0].field == field
