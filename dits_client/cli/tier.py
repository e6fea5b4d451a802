"""`dits tier`: what cannot be read at once, and how to get it back."""

from argparse import Namespace
from collections.abc import Iterator
from itertools import islice

from dits.chunk.v1 import tier_service_pb2 as pb
from dits.chunk.v1.tier_service_pb2_grpc import TierServiceStub
from dits.common.v1.job_pb2 import JobStatus
from google.protobuf.timestamp_pb2 import Timestamp

from dits_client.checkout.named_chunks import list_named_chunks
from dits_client.cli.answers import print_answer
from dits_client.cli.folder import format_bytes
from dits_client.cli.history import connect_to_revision, find_repository
from dits_client.cli.repository_admin import open_repository
from dits_client.cli.table import format_time, print_json
from dits_client.cli.workspace_paths import find_path
from dits_client.errors import ClientError
from dits_client.server.jobs import Jobs
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import format_count

_HASHES = 10_000


def handle_check(arguments: Namespace) -> None:
    """Tell whether all chunks of a revision can be read at once."""
    total = pb.FindArchivedChunksResponse()
    count = 0
    with connect_to_revision(arguments) as (repository, revision):
        for hashes in _batch(repository, revision, arguments):
            request = pb.FindArchivedChunksRequest(repository=repository.name, hashes=hashes)
            found = repository.call(_tiers(repository).FindArchivedChunks, request)
            count += len(hashes) // 32
            total.archived_count += found.archived_count
            total.archived_bytes += found.archived_bytes
            total.restore_seconds = max(total.restore_seconds, found.restore_seconds)
    if arguments.json:
        print_json([total])
    elif not total.archived_count:
        print(f"Nothing is archived: {format_count(count, 'chunk')}, to be read at once.")
    else:
        print(
            f"Archived: {total.archived_count:,} of {format_count(count, 'chunk')} "
            f"({format_bytes(total.archived_bytes)}). "
            f"To restore them takes {_format_seconds(total.restore_seconds)}: dits tier restore"
        )


def handle_restore(arguments: Namespace) -> None:
    """Make the archived chunks of a revision readable for a while."""
    restores = []
    with connect_to_revision(arguments) as (repository, revision):
        for hashes in _batch(repository, revision, arguments):
            request = pb.RestoreChunksRequest(
                repository=repository.name, hashes=hashes, validate_only=arguments.dry_run
            )
            answer = repository.call(_tiers(repository).RestoreChunks, request)
            if answer.HasField("restore"):
                restores.append(answer.restore)
        _report(repository, restores, arguments)


def handle_set(arguments: Namespace) -> None:
    """Make the chunks of a revision colder, or hot again."""
    changed, restores = 0, []
    storage_class = pb.StorageClass.Value(f"STORAGE_CLASS_{arguments.storage_class.upper()}")
    _, name, revision = find_repository(arguments)
    with open_repository(name) as repository:
        for hashes in _batch(repository, revision, arguments):
            request = pb.SetStorageClassRequest(
                repository=repository.name, hashes=hashes, storage_class=storage_class
            )
            answer = repository.call(_tiers(repository).SetStorageClass, request)
            changed += answer.changed_count
            if answer.HasField("restore"):
                restores.append(answer.restore)
        if arguments.storage_class == "standard":
            _report(repository, restores, arguments)
        else:
            text = f"Now {arguments.storage_class}: {format_count(changed, 'chunk')}."
            print_answer(arguments, {"changed": changed}, text)


def _tiers(repository: RepositoryClient) -> TierServiceStub:
    return TierServiceStub(repository.chunk_channel)


def _batch(repository: RepositoryClient, revision: str, arguments: Namespace) -> Iterator[bytes]:
    """Yield the hashes of the named chunks, packed, as many as a request takes."""
    hashes = list_named_chunks(
        repository, revision, [find_path(arguments, path) for path in arguments.paths]
    )
    while batch := b"".join(islice(hashes, _HASHES)):
        yield batch


def _report(repository: RepositoryClient, restores: list[pb.Restore], arguments: Namespace) -> None:
    """Tell what was begun; wait for it if that is wanted."""
    if arguments.json:
        print_json(restores)
    elif not restores:
        print("Nothing to restore: all can be read at once.")
    else:
        count = sum(each.chunk_count for each in restores)
        size = sum(each.stored_bytes for each in restores)
        when = max((x.expected_time for x in restores), key=Timestamp.ToNanoseconds)
        begun = "To be" if restores[0].job_id == "" else "Being"
        print(
            f"{begun} restored: {format_count(count, 'chunk')} ({format_bytes(size)}), to be read from "
            f"{format_time(when)} on, at the earliest."
        )
    jobs = Jobs(repository.client, repository.endpoints)
    for each in restores:
        if not each.job_id:
            continue
        if arguments.wait:
            job = list(jobs.watch_job(each.job_id))[-1]
            if job.status != JobStatus.JOB_STATUS_COMPLETED:
                raise ClientError(f"the job {each.job_id} has not completed: {job.error}")
        elif not arguments.json:
            print(f"dits jobs watch {each.job_id}")


def _format_seconds(seconds: int) -> str:
    if seconds < 120:
        return format_count(seconds, "second")
    return f"{seconds / 60:.3g} minutes" if seconds < 7200 else f"{seconds / 3600:.3g} hours"
