"""Taking, releasing and listing locks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dits.lock.v1.lock_service_pb2 import (
    BATCH_MODE_ATOMIC,
    BATCH_MODE_PER_PATH,
    LOCK_TYPE_ADVISORY,
    LOCK_TYPE_EXCLUSIVE,
    LOCK_TYPE_SHARED,
    AcquireLocksRequest,
    AcquireLocksResponse,
    AcquireResult,
    ListLocksRequest,
    ListLocksResponse,
    Lock,
    LockType,
    ReleaseLocksRequest,
    ReleaseResult,
)
from google.protobuf.duration_pb2 import Duration

from dits_client.errors import ClientError
from dits_client.server.connection import Client

MAX_PATHS = 1000
MAX_STOLEN = 100


@dataclass(slots=True)
class Options:
    """How locks are taken."""

    type: LockType.ValueType = LOCK_TYPE_EXCLUSIVE
    # None = the server's default.
    ttl_seconds: int | None = None
    reason: str = ""
    release_on_push: bool = False
    # All paths of a call or none; else each for itself.
    atomic: bool = True
    # Refuse paths that were changed on the branch by a commit that is not in this one; empty = any path.
    base_commit: str = ""
    branch: str = ""


def acquire(
    client: Client, repository: str, paths: Sequence[str], options: Options
) -> Iterator[AcquireLocksResponse]:
    """Take locks in batches, a call each."""
    for first in range(0, len(paths), MAX_PATHS):
        yield _acquire(client, repository, paths[first : first + MAX_PATHS], options, [])


def _acquire(
    client: Client, repository: str, paths: Sequence[str], options: Options, steal: Sequence[str]
) -> AcquireLocksResponse:
    request = AcquireLocksRequest(
        repository=repository,
        paths=paths,
        type=options.type,
        reason=options.reason,
        release_on_push=options.release_on_push,
        batch_mode=BATCH_MODE_ATOMIC if options.atomic else BATCH_MODE_PER_PATH,
        steal_lock_ids=steal,
        base_commit=options.base_commit,
        branch=options.branch if options.base_commit else "",
    )
    if options.ttl_seconds is not None:
        request.ttl.CopyFrom(Duration(seconds=options.ttl_seconds))
    return client.call(client.locks.AcquireLocks, request)


def in_way(
    client: Client, repository: str, paths: Sequence[str], kind: LockType.ValueType
) -> dict[str, list[Lock]]:
    """Return for each path the locks that keep the caller from one of this kind."""
    found = list(live(client, repository))
    return {path: [lock for lock in found if _in_way(lock, path, kind)] for path in paths}


def steal(
    client: Client, repository: str, path: str, taken: Sequence[Lock], options: Options
) -> AcquireResult:
    """Take a lock in the place of others."""
    if len(taken) > MAX_STOLEN:
        raise ClientError(
            f"{len(taken)} locks are in the way of {path}, more than {MAX_STOLEN}: "
            "name what is in it"
        )
    ids = [lock.id for lock in taken]
    return _acquire(client, repository, [path], options, ids).results[0]


def _in_way(lock: Lock, path: str, kind: LockType.ValueType) -> bool:
    """Say whether a lock keeps the caller from one of this kind on the path."""
    if LOCK_TYPE_ADVISORY in (kind, lock.type) or kind == lock.type == LOCK_TYPE_SHARED:
        return False
    if lock.ours:
        return lock.path == path and lock.type != kind
    return lock.path in covering(path) or (path.endswith("/") and lock.path.startswith(path))


def release(client: Client, repository: str, ids: Sequence[str]) -> Iterator[ReleaseResult]:
    """Release locks by their ids."""
    for first in range(0, len(ids), MAX_PATHS):
        batch = ids[first : first + MAX_PATHS]
        request = ReleaseLocksRequest(repository=repository, lock_ids=batch)
        yield from client.call(client.locks.ReleaseLocks, request).results


def live(client: Client, repository: str, *, holder: str = "") -> Iterator[Lock]:
    """List the live locks of a repository; `me` is the caller."""
    for page in pages(client, repository, holder=holder):
        yield from page.locks


def pages(client: Client, repository: str, *, holder: str = "") -> Iterator[ListLocksResponse]:
    """List the live locks of a repository in pages, which tell the server's time."""
    request = ListLocksRequest(repository=repository, holder=holder, page_size=MAX_PATHS)
    return client.pages(client.locks.ListLocks, request)


def covering(path: str) -> Iterator[str]:
    """Yield the path and the directories above it, as locks name them."""
    yield path
    at = len(path) - path.endswith("/")
    while (at := path.rfind("/", 0, at)) >= 0:
        yield path[: at + 1]
