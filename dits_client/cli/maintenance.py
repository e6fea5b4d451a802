"""`dits gc`, `verify` and `storage`."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import islice

from dits.chunk.v1 import maintenance_run_pb2 as run_pb
from dits.chunk.v1 import maintenance_service_pb2 as pb
from dits.chunk.v1.tier_service_pb2 import StorageClass
from google.protobuf.message import Message

from dits_client.cli.answers import print_answer, record
from dits_client.cli.folder import format_bytes
from dits_client.cli.session import connect
from dits_client.cli.table import format_time, name_value, print_json, print_table
from dits_client.errors import UsageError
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import format_count

_PAGE = 1000


def handle_plan(arguments: Namespace) -> None:
    """Tell what a collection would do."""
    with connect() as (client, _):
        request = pb.PlanGarbageCollectionRequest()
        plan = client.call(client.maintenance.PlanGarbageCollection, request)
    if arguments.json:
        print_json([plan])
        return
    print("\n".join(_describe_plan(plan)))


def _describe_plan(plan: pb.PlanGarbageCollectionResponse) -> Iterator[str]:
    """Yield the lines of a plan."""
    yield f"claims to drop:     {plan.ended_claim_count:,}"
    more = ", and there may be more" if plan.is_partial else ""
    yield (
        f"chunks to delete:   {plan.dead_chunk_count:,} of {plan.total_chunk_count:,} "
        f"({format_bytes(plan.dead_bytes)}){more}"
    )
    if plan.dead_chunk_count:
        yield (
            f"comes back:         {format_bytes(plan.freed_bytes)} in "
            f"{format_count(plan.freed_pack_count, 'pack')} on "
            f"{format_time(plan.freed_time)}, the rest when packs are compacted"
        )
    if plan.queued_object_count:
        yield (
            f"comes back already: {format_bytes(plan.queued_bytes)} in "
            f"{format_count(plan.queued_object_count, 'object')} until {format_time(plan.queue_end_time)}"
        )
    for item in plan.forecast:
        yield (
            f"until {format_time(item.time)}: {format_count(item.chunk_count, 'more chunk')} "
            f"({format_bytes(item.bytes)})"
        )
    if plan.is_implausible:
        yield (
            "That is implausibly much, and would be refused. If it is what you want: "
            f"dits gc run --confirm {plan.dead_chunk_count}"
        )
    if plan.is_partial:
        yield "A run that finds more than it may delete is refused; `dits gc runs` then says how many."


def handle_run(arguments: Namespace) -> None:
    """Begin a collection."""
    request = pb.RunGarbageCollectionRequest(confirmed_chunk_count=arguments.confirm)
    with connect() as (client, _):
        job_id = client.call(client.maintenance.RunGarbageCollection, request).job_id
    record({"job_id": job_id})
    print(f"The collection has begun: dits jobs watch {job_id}")


def handle_inventory(arguments: Namespace) -> None:
    """Begin an inventory."""
    request = pb.CheckInventoryRequest(confirmed_object_count=arguments.confirm)
    with connect() as (client, _):
        job_id = client.call(client.maintenance.CheckInventory, request).job_id
    record({"job_id": job_id})
    print(f"The inventory has begun: dits jobs watch {job_id}")


def handle_runs(arguments: Namespace) -> None:
    """List runs of the maintenance."""
    limit = max(arguments.limit, 0) or None
    kind = run_pb.MaintenanceKind.Value(
        f"MAINTENANCE_KIND_{(arguments.kind or 'unspecified').upper()}"
    )
    request = pb.ListRunsRequest(kind=kind, page_size=min(limit or _PAGE, _PAGE))
    with connect() as (client, _):
        pages = client.list_pages(client.maintenance.ListRuns, request)
        runs = list(islice((run for page in pages for run in page.runs), limit))
    _print(
        runs,
        ("started", "kind", "outcome", "what"),
        (
            (
                format_time(run.start_time),
                name_value(run_pb.MaintenanceKind, run.kind, "MAINTENANCE_KIND_"),
                name_value(run_pb.MaintenanceOutcome, run.outcome, "MAINTENANCE_OUTCOME_"),
                run.report.summary,
            )
            for run in runs
        ),
        "No runs.",
        as_json=arguments.json,
    )


def handle_verify(arguments: Namespace) -> None:
    """Begin to verify chunks, or list those that are lost."""
    if arguments.repository and not arguments.lost:
        raise UsageError("--repository needs --lost: the server verifies whole packs")
    with connect() as (client, _):
        if arguments.lost:
            lost = list(_list_lost_chunks(client, arguments.repository))
        else:
            request = pb.VerifyChunksRequest(everything=arguments.everything)
            job_id = client.call(client.maintenance.VerifyChunks, request).job_id
            text = f"The verification has begun: dits jobs watch {job_id}"
            print_answer(arguments, {"job_id": job_id}, text)
            return
    rows = ((each.hash, format_bytes(each.size), format_time(each.lost_time)) for each in lost)
    headings = ("chunk", "size", "found")
    _print(lost, headings, rows, "No chunk is lost.", as_json=arguments.json)


def _list_lost_chunks(client: Client, repository: str) -> Iterator[pb.LostChunk]:
    subject = RepositoryClient(client, repository) if repository else client
    request = pb.ListLostChunksRequest(repository=repository, page_size=_PAGE)
    for page in subject.list_pages(subject.maintenance.ListLostChunks, request):
        yield from page.chunks


def handle_storage(arguments: Namespace) -> None:
    """Show how much is stored."""
    name = arguments.repository
    with connect() as (client, _):
        subject = RepositoryClient(client, name) if name else client
        request = pb.GetStorageRequest(repository=name)
        found = subject.call(subject.maintenance.GetStorage, request)
    if arguments.json:
        print_json([found])
        return
    print(f"chunks:  {found.chunk_count:,}, {format_bytes(found.uncompressed_bytes)} uncompressed")
    print(f"stored:  {format_bytes(found.stored_bytes)}")
    if name:
        print(f"claimed: {format_count(found.claimed_chunk_count, 'chunk')} of no commit yet")
    else:
        print(f"shared:  {format_bytes(found.shared_bytes)} by several repositories")
        print(f"garbage: {format_count(found.unreferenced_chunk_count, 'chunk')} in grace")
        print(f"packs:   {found.pack_count:,}, {format_bytes(found.pack_bytes)}")
        for place in found.places:
            name = name_value(StorageClass, place.storage_class, "STORAGE_CLASS_")
            size = format_bytes(place.pack_bytes)
            print(f"         {place.pack_count:,}, {size} in {place.region}, {name}")
        queued = format_count(found.queued_object_count, "object")
        print(f"queued:  {queued}, {format_bytes(found.queued_bytes)}")
    print(f"lost:    {format_count(found.lost_chunk_count, 'chunk')}")
    if found.HasField("count_time"):
        print(f"counted: {format_time(found.count_time)}")


def _print(
    messages: Iterable[Message],
    headings: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    empty: str,
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json(messages)
    else:
        print_table(headings, rows, empty)
