"""Calls that are made at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc

from tests.support.api import Api, read_error
from tests.support.waiting import until_blocked


async def together(*calls: Awaitable[object]) -> tuple[int, list[str]]:
    """How many calls succeeded, and the reasons why the others did not."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    reasons = []
    for error in failed:
        assert isinstance(error, grpc.aio.AioRpcError), error
        reasons.append(read_error(error).reason)
    return len(results) - len(failed), reasons


@asynccontextmanager
async def other_transaction(api: Api, statement: str, *, commits: bool) -> AsyncIterator[None]:
    """Another transaction that has run a statement; it ends when the caller's waits for it."""
    connection = await asyncpg.connect(api.dsn)
    observer = await asyncpg.connect(api.dsn)
    transaction = connection.transaction()
    try:
        await transaction.start()
        await connection.execute(statement)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_end(transaction, observer, commits=commits))
            yield
    finally:
        await connection.close()
        await observer.close()


async def _end(transaction: Any, observer: Any, *, commits: bool) -> None:
    await until_blocked(observer)
    await (transaction.commit() if commits else transaction.rollback())
