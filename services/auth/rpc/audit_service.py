"""The audit log, for those whom it concerns."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dits.auth.v1 import audit_service_pb2 as pb

from services.auth.audit_log.listing import AuditListing, AuditQuery, describe_event, get_position
from services.auth.audit_log.scopes import AuditScopes
from shared.rpc.call import Call
from shared.rpc.paging import MAX_SIZE, Page
from shared.runtime.server_key import ServerKey


class AuditService:
    """The RPCs of dits.auth.v1.AuditService."""

    def __init__(self, listing: AuditListing, scopes: AuditScopes, key: ServerKey) -> None:
        self._listing = listing
        self._scopes = scopes
        self._key = key

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, call: Call
    ) -> pb.ListAuditEventsResponse:
        """Returns a page of the events that the caller may read."""
        page = Page(self._key, request, call)
        wanted = AuditQuery.parse(request.filter)
        scope = await self._scopes.resolve(request.filter, call)
        found = await self._listing.fetch(scope, wanted, page.after, page.size + 1)
        rows, token = page.answer(found, get_position)
        events = [describe_event(row, scope) for row in rows]
        return pb.ListAuditEventsResponse(events=events, next_page_token=token)

    async def ExportAuditEvents(
        self, request: pb.ExportAuditEventsRequest, call: Call
    ) -> AsyncIterator[pb.ExportAuditEventsResponse]:
        """Yields all events that the caller may read; the right is judged before each page."""
        request.page_size = request.page_size or MAX_SIZE
        page = Page(self._key, request, call)
        wanted = AuditQuery.parse(request.filter)
        position, has_more = page.after, True
        while has_more:
            scope = await self._scopes.resolve(request.filter, call)
            found = await self._listing.fetch(scope, wanted, position, page.size + 1)
            rows, token = page.answer(found, get_position)
            events = [describe_event(row, scope) for row in rows]
            yield pb.ExportAuditEventsResponse(events=events, next_page_token=token)
            has_more = bool(token)
            position = list(get_position(rows[-1])) if has_more else None
