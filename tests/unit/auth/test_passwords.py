"""The queue of passwords that are hashed."""

from __future__ import annotations

import asyncio

import pytest

from services.auth.credentials.passwords import Hasher
from shared.errors import DomainError


async def test_strangers_leave_room_in_the_queue() -> None:
    hasher = Hasher(1)

    async def verify(*, is_known: bool) -> bool:
        return await hasher.verify(None, "a guess", is_known=is_known)

    strangers = [asyncio.create_task(verify(is_known=False)) for _ in range(11)]
    await asyncio.sleep(0)
    with pytest.raises(DomainError) as refused:
        await verify(is_known=False)
    assert refused.value.metadata == {"limit": "11"}
    known = [asyncio.create_task(verify(is_known=True)) for _ in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(DomainError):
        await verify(is_known=True)
    assert await asyncio.gather(*strangers, *known) == [False] * 17
