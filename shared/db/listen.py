"""The process's one LISTEN connection. Notifications are hints: code that relies on one also polls."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

import asyncpg
import structlog

from shared.db.pool import UNREACHABLE
from shared.runtime import metrics
from shared.runtime.waiting import end_tasks

log = structlog.get_logger(__name__)

RECONNECT_SECONDS = 2.0


class Listener:
    """Hands the notifications of a database to those who asked for a channel.

    It connects while at least one server of the process is running.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._receivers: dict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._gap_receivers: list[Callable[[], None]] = []
        self._holders = 0
        self._task: asyncio.Task[None] | None = None
        # There is a new channel, or the connection broke.
        self._wake = asyncio.Event()

    def subscribe(self, channel: str, receive: Callable[[str], None]) -> None:
        """Calls `receive` with the payload of each notification on the channel, from soon on."""
        self._receivers[channel].append(receive)
        self._wake.set()

    def subscribe_gaps(self, receive: Callable[[], None]) -> None:
        """Calls `receive` whenever notifications may have been missed, on whichever channel."""
        self._gap_receivers.append(receive)

    def start(self) -> None:
        """Begins to listen, if no other server of the process has."""
        self._holders += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the connection, if no other server of the process needs it."""
        self._holders -= 1
        if self._holders > 0 or self._task is None:
            return
        task, self._task = self._task, None
        await end_tasks([task])

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except UNREACHABLE as error:
                log.info("no notifications", cause=type(error).__name__)
            except Exception:
                log.exception("a defect", task="listen")
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        """Listens until the connection breaks."""
        connection = await asyncpg.connect(self._dsn)
        connection.add_termination_listener(lambda _: self._wake.set())
        listening: set[str] = set()
        try:
            while not connection.is_closed():
                self._wake.clear()
                for channel in self._receivers.keys() - listening:
                    await connection.add_listener(channel, self._received)
                    listening.add(channel)
                    self._tell_of_gap()
                metrics.LISTENER_CONNECTED.set(1)
                await self._wake.wait()
        finally:
            metrics.LISTENER_CONNECTED.set(0)
            self._tell_of_gap()
            await connection.close(timeout=1)

    def _received(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for receive in self._receivers[channel]:
            receive(str(payload))

    def _tell_of_gap(self) -> None:
        for receive in self._gap_receivers:
            receive()
