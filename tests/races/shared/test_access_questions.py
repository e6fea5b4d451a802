"""Questions of access are shared, but no call is refused, or let in, by what was before it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dits.repo.v1.repository_service_pb2 import (
    Repository,
    RepositoryValues,
    UpdateRepositoryRequest,
)
from google.protobuf.field_mask_pb2 import FieldMask

from shared.errors import DomainError, Reason
from shared.rpc.access import RemoteAccess
from shared.rpc.call import Access
from tests.support.api import Account, Api

KEPT = 3600.0


class HeldQuestions(RemoteAccess):
    """Asks a real auth service, and holds its first answer back. It hears no notifications."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel)
        self.count = 0
        self.is_answered, self.goes_on = asyncio.Event(), asyncio.Event()

    async def _ask(self, key: Any, address: str | None) -> Access:
        self.count += 1
        try:
            return await super()._ask(key, address)
        finally:
            if not self.is_answered.is_set():
                self.is_answered.set()
                await self.goes_on.wait()


@pytest.fixture
async def questions(api: Api) -> HeldQuestions:
    return HeldQuestions(api.channels["auth"])


async def _rename(api: Api, owner: Account, repository: Repository, name: str) -> None:
    request = UpdateRepositoryRequest(
        repository=repository.id,
        values=RepositoryValues(name=name),
        update_mask=FieldMask(paths=["name"]),
    )
    await api.repositories.UpdateRepository(request, metadata=owner.auth)


async def test_a_name_that_was_given_before_the_call_is_found(
    api: Api, questions: HeldQuestions
) -> None:
    """Though somebody else asked for it before it was given, and waits for the answer."""
    ada = await api.account()
    films = await api.repository(ada, "films")
    address = f"{ada.username}/new"
    first = asyncio.create_task(questions.resolve(ada.token, address, KEPT))
    await questions.is_answered.wait()
    await _rename(api, ada, films, "new")
    second = asyncio.create_task(questions.resolve(ada.token, address, KEPT))
    await asyncio.sleep(0)
    questions.goes_on.set()
    with pytest.raises(DomainError) as refusal:
        await first
    assert refusal.value.reason == Reason.ERROR_REASON_NOT_FOUND
    found = (await second).repository
    assert found is not None
    assert str(found.id) == films.id


async def test_who_wants_an_answer_of_now_gets_none_from_before(
    api: Api, questions: HeldQuestions
) -> None:
    ada = await api.account()
    session = await api.session(ada, sudo=False)
    first = asyncio.create_task(questions.resolve(session.token, "", KEPT))
    await questions.is_answered.wait()
    await api.fetch("UPDATE sessions SET sudo_until = now() + interval '1 minute'")
    second = asyncio.create_task(questions.resolve(session.token, "", 0.0))
    await asyncio.sleep(0)
    questions.goes_on.set()
    old, new = (await first).caller, (await second).caller
    assert old is not None
    assert new is not None
    assert (old.sudo_seconds, new.sudo_seconds > 0) == (0, True)
    assert (await questions.resolve(session.token, "", KEPT)).caller == new


async def test_many_who_ask_for_what_is_not_there_share_two_questions(
    api: Api, questions: HeldQuestions
) -> None:
    ada = await api.account()
    asking = [
        asyncio.create_task(questions.resolve(ada.token, f"{ada.username}/no", max_age))
        for max_age in (KEPT, 0.0)
        for _ in range(50)
    ]
    await questions.is_answered.wait()
    questions.goes_on.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(result, DomainError) for result in results)
    assert questions.count == 2
