"""`dits regions`: where the chunks of a repository lie, and what of a commit is missing where."""

import json
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from dits.chunk.v1 import placement_service_pb2 as pb
from dits.chunk.v1.placement_service_pb2_grpc import PlacementServiceStub

from dits_client.checkout.commit_regions import CommitRegions, find_commit_regions
from dits_client.cli.answers import print_answer
from dits_client.cli.folder import format_bytes
from dits_client.cli.history import connect_to_revision
from dits_client.cli.table import print_table
from dits_client.terminal import format_count

# Paths that are listed for each region.
_MOST_FILES = 10


def handle_regions(arguments: Namespace) -> None:
    """Show where chunks lie, or have them brought to where they are wanted."""
    with connect_to_revision(arguments) as (remote, revision):
        stub = PlacementServiceStub(remote.chunk_channel)
        if arguments.replicate:
            request = pb.ReplicateChunksRequest(repository=remote.name)
            job_id = remote.call(stub.ReplicateChunks, request).job_id
            text = f"The chunks are looked at: dits jobs watch {job_id}"
            print_answer(arguments, {"job_id": job_id}, text)
            return
        listed = remote.call(stub.ListRegions, pb.ListRegionsRequest(repository=remote.name))
        wanted = [region.name for region in listed.regions if region.is_wanted]
        found = CommitRegions("")
        if wanted:
            revision = revision or remote.get_info().default_branch
            found = find_commit_regions(remote, revision)
    if arguments.json:
        print(json.dumps({"commit": found.commit, "regions": list(_describe(listed, found))}))
        return
    rows = (_format_row(region, found) for region in listed.regions)
    print_table(("region", "", "wanted", "waiting", "missing of the commit"), rows, "No regions.")
    for name, report in found.regions.items():
        for path in report.files[:_MOST_FILES]:
            print(f"not in {name}: {path}")
        if len(report.files) > _MOST_FILES:
            more = format_count(len(report.files) - _MOST_FILES, "more file")
            print(f"not in {name}: {more}")


def _describe(listed: pb.ListRegionsResponse, found: CommitRegions) -> Iterator[dict[str, object]]:
    for region in listed.regions:
        report = found.regions.get(region.name)
        yield {
            "name": region.name,
            "is_local": region.is_local,
            "is_wanted": region.is_wanted,
            "waiting_chunk_count": region.waiting_chunk_count,
            "missing": asdict(report) if report else None,
        }


def _format_row(region: pb.Region, found: CommitRegions) -> tuple[str, ...]:
    report, missing = found.regions.get(region.name), ""
    if report is not None:
        missing = (
            f"{format_count(report.chunks, 'chunk')} ({format_bytes(report.bytes)}) of "
            f"{format_count(len(report.files), 'file')}"
            if report.chunks
            else "nothing"
        )
    waiting = f"{region.waiting_chunk_count:,}" if region.waiting_chunk_count else ""
    here, wanted = "here" if region.is_local else "", "yes" if region.is_wanted else ""
    return region.name, here, wanted, waiting, missing
