"""Calls that are made at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import grpc

from tests.support.api import read_error


async def together(*calls: Awaitable[object]) -> tuple[int, list[str]]:
    """How many calls succeeded, and the reasons why the others did not."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    reasons = []
    for error in failed:
        assert isinstance(error, grpc.aio.AioRpcError), error
        reasons.append(read_error(error).reason)
    return len(results) - len(failed), reasons
