"""What the stages of an upload hand on: work under way, in order, and a failure in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")
# Work under way, a failure, or the end.
StageItem: TypeAlias = "asyncio.Task[Result] | Exception | None"
StageQueue: TypeAlias = "asyncio.Queue[StageItem[Result]]"


async def run_stage(work: Coroutine[Any, Any, None], output: StageQueue[Result]) -> None:
    """Runs a stage and tells the next one how it ended."""
    try:
        await work
    except Exception as error:  # noqa: BLE001  not handled here, only passed on
        await output.put(error)
    else:
        await output.put(None)


def raise_failure(item: StageItem[Result]) -> asyncio.Task[Result] | None:
    """Returns the item unless an earlier stage failed; raises what it failed with."""
    if isinstance(item, Exception):
        raise item
    return item
