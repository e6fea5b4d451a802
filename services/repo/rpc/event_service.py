"""EventService: what happens in repositories, as it happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from dits.repo.v1 import event_service_pb2 as pb

from services.repo.events.actors import Actors
from services.repo.events.scopes import WatchedEvents
from services.repo.repositories.owners import Owner, resolve_owner
from shared.db.pool import Database, Databases
from shared.errors import invalid_field, wrong_cell
from shared.outbox.cursors import CursorSeal
from shared.outbox.event_stream import EventStream
from shared.outbox.patterns import match_names, parse_patterns
from shared.outbox.stored_event import describe_event
from shared.rpc.call import Call
from shared.rpc.timestamps import to_timestamp
from shared.runtime.server_key import ServerKey


class EventService:
    """The RPCs of dits.repo.v1.EventService.

    `databases` holds repositories, `database` those of `cell`, over which a stream of several goes.
    """

    def __init__(
        self,
        database: Database,
        databases: Databases,
        key: ServerKey,
        events: EventStream,
        *,
        cell: int,
    ) -> None:
        self._database = database
        self._databases = databases
        self._key = key
        self._events = events
        self._cell = cell

    async def Watch(
        self, request: pb.WatchRequest, call: Call
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        """Sends what happens in one repository, or in several."""
        names = match_names(parse_patterns("patterns", request.patterns) or ["*"])
        scope = WatchedEvents(call, names, await self._find_owner(request, call))
        cursors = CursorSeal(self._key, *_describe_scope(scope))
        position = cursors.read_cursor(request.cursor) if request.cursor else None
        one = scope.repository_id
        database = self._database if one is None else self._databases.of(one)
        actors = Actors(database)
        moments = self._events.follow_events(database, scope, position, call.holder)
        async with aclosing(moments):
            async for position, server_time, event in moments:
                response = pb.WatchResponse(
                    cursor=cursors.write_cursor(position),
                    server_time=to_timestamp(server_time),
                )
                if event is not None:
                    actor = await actors.find_name(event.actor_id)
                    response.event.CopyFrom(await describe_event(event, actor))
                yield response

    async def _find_owner(self, request: pb.WatchRequest, call: Call) -> Owner | None:
        """Returns the owner that a request names. Raises INVALID_FIELD, NOT_FOUND or WRONG_CELL."""
        if not request.owner:
            return None
        if request.repository:
            raise invalid_field("owner", "must be empty if there is a repository")
        async with self._database.connection() as connection:
            owner = await resolve_owner(connection, request.owner, call.caller)
        if owner.cell != self._cell:
            raise wrong_cell(owner.cell, self._cell)
        return owner


def _describe_scope(scope: WatchedEvents) -> tuple[bytes, ...]:
    """Returns what a cursor is good for."""
    if scope.repository_id is not None:
        return (b"repository", scope.repository_id.bytes)
    if scope.owner is not None:
        return (b"owner", scope.owner.id.bytes)
    return (b"granted", scope.call.caller.user_id.bytes)
