"""AuditService: the export, and page tokens."""

from __future__ import annotations

from typing import Any

from dits.auth.v1 import audit_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.audit import add_rows, export_events, list_events


async def test_an_export_is_everything_in_batches_and_goes_on(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    now = await api.value("SELECT now()")
    for who in (ada, bob):
        await add_rows(api, who.id, now, 1200)
    everything = await list_events(api, ada, 1000)
    responses = await export_events(api, ada, pb.ExportAuditEventsRequest())
    assert [len(response.events) for response in responses] == [1000, 200]
    assert [event for response in responses for event in response.events] == everything
    request = pb.ExportAuditEventsRequest(page_token=responses[0].next_page_token)
    [rest] = await export_events(api, ada, request)
    assert list(rest.events) == everything[1000:]
    [nothing] = await export_events(api, await api.account(), pb.ExportAuditEventsRequest())
    assert (list(nothing.events), nothing.next_page_token) == ([], "")


async def test_an_export_holds_no_connection_while_the_caller_reads(api: Api) -> None:
    ada = await api.account()
    await add_rows(api, ada.id, await api.value("SELECT now()"), 20_000)
    stream: Any = api.audit.ExportAuditEvents(pb.ExportAuditEventsRequest(), metadata=ada.auth)
    assert len((await stream.read()).events) == 1000
    # As many more as the pool has connections: each sends until its caller takes nothing more.
    others: list[Any] = [
        api.audit.ExportAuditEvents(pb.ExportAuditEventsRequest(), metadata=ada.auth)
        for _ in range(8)
    ]
    for other in others:
        await other.read()
    assert len(await first_page(api, ada)) == 50
    for other in (stream, *others):
        other.cancel()


async def first_page(api: Api, who: Account) -> list[pb.AuditEvent]:
    response = await api.audit.ListAuditEvents(pb.ListAuditEventsRequest(), metadata=who.auth)
    return list(response.events)


async def test_an_export_ends_with_the_right(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    repository = await api.repository(ada)
    await api.grant(repository, bob, "admin")
    request = pb.ExportAuditEventsRequest(
        filter=pb.AuditFilter(repository=repository.id), page_size=1
    )
    [first] = await export_events(api, bob, request)
    assert len(first.events) == 1
    await api.grant(repository, bob, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await export_events(api, bob, request)


async def test_page_tokens_are_for_one_caller_and_one_filter(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    for who in (ada, bob):
        await add_rows(api, who.id, await api.value("SELECT now()"), 2)
    request = pb.ListAuditEventsRequest(page_size=1)
    token = (await api.audit.ListAuditEvents(request, metadata=ada.auth)).next_page_token
    request.page_token = token
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.audit.ListAuditEvents(request, metadata=bob.auth)
    request.filter.action = "token.created"
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.audit.ListAuditEvents(request, metadata=ada.auth)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await export_events(api, ada, pb.ExportAuditEventsRequest(page_token=token))
