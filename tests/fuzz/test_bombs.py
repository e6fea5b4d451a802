"""The corpus: each case ends as it should, and nobody else notices."""

from __future__ import annotations

import asyncio

import pytest

import tests.fuzz.chunk_bombs
import tests.fuzz.limit_bombs
import tests.fuzz.push_bombs
import tests.fuzz.stream_bombs
import tests.fuzz.unary_bombs  # noqa: F401  the cases add themselves
from tests.fuzz.bombs import CORPUS
from tests.fuzz.conftest import Target


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 40


@pytest.mark.parametrize("name", sorted(CORPUS))
async def test_bomb(target: Target, name: str) -> None:
    case, server = CORPUS[name], target.server
    before = server.resident_bytes()
    async with asyncio.timeout(60):
        assert await case.attack(target) in case.ends
    server.assert_unharmed()
    await server.until_released(before)
