"""Turns for calls that cost far more than others: few work at once, some wait, the rest come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.rpc.call import Call
from shared.rpc.slots import SlotGroup

AT_ONCE = 4
MAX_CALLS = 64
MAX_CALLS_EACH = 16


class HeavyCalls:
    """The heavy calls of one process."""

    def __init__(self) -> None:
        self._slots = SlotGroup(MAX_CALLS, MAX_CALLS_EACH)
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self, call: Call) -> AsyncIterator[None]:
        """Waits for the call's turn, first come, first served. Raises SERVER_BUSY if too many wait."""
        slot = self._slots.take(call.caller_id or call.peer_ip)
        try:
            async with self._turns:
                yield
        finally:
            slot.free()
