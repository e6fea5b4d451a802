"""Rests between the pieces of long work: calls come first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

Item = TypeVar("Item")

# After each piece of work one rests for this part of its duration.
REST_SHARE = 0.25


@asynccontextmanager
async def pace(items: AsyncGenerator[Item, None]) -> AsyncIterator[AsyncIterator[Item]]:
    """Returns the items of a generator, with a rest after each; closes it at the end."""
    async with aclosing(items), aclosing(_rest_between(items)) as paced:
        yield paced


async def _rest_between(items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    begun = time.monotonic()
    async for item in items:
        took = time.monotonic() - begun
        yield item
        await asyncio.sleep(took * REST_SHARE)
        begun = time.monotonic()
