"""Calls of the lock service."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from dits.common.v1.lock_fence_pb2 import LockFence
from dits.common.v1.lock_type_pb2 import (
    LOCK_TYPE_ADVISORY,
    LOCK_TYPE_EXCLUSIVE,
    LOCK_TYPE_SHARED,
    LockType,
)
from dits.lock.v1.lock_service_pb2 import (
    BATCH_MODE_ATOMIC,
    BATCH_MODE_PER_PATH,
    AcquireLocksRequest,
    AcquireLocksResponse,
    AcquireResult,
    ListLocksRequest,
    ListLocksResponse,
    Lock,
    ReleaseLocksRequest,
    ReleaseResult,
    RenewLocksRequest,
    RenewLocksResponse,
)
from google.protobuf.duration_pb2 import Duration

from dits_client.batches import split_into_batches
from dits_client.errors import ClientError
from dits_client.server.client import TIMEOUT, iterate_pages
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text

MAX_PATHS = 1000
MAX_STOLEN = 100
# Seconds in which a command that ends gives back what it took; else locks end by themselves.
GIVE_BACK_SECONDS = 10.0


@dataclass(slots=True)
class LockOptions:
    """How locks are taken."""

    type: LockType.ValueType = LOCK_TYPE_EXCLUSIVE
    # None = the server's default.
    ttl_seconds: int | None = None
    reason: str = ""
    release_on_push: bool = False
    # True = all paths of a call or none; false = each path on its own.
    atomic: bool = True
    # Refuse paths that changed on the branch since this commit; empty = do not check.
    base_commit: str = ""
    branch: str = ""


def acquire_locks(
    repository: RepositoryClient, paths: Sequence[str], options: LockOptions
) -> Iterator[AcquireLocksResponse]:
    """Take locks; yield the response to each batch of paths."""
    for batch in split_into_batches(paths, max_count=MAX_PATHS):
        yield _acquire(repository, batch, options, [])


def steal_lock(
    repository: RepositoryClient, path: str, taken: Sequence[Lock], options: LockOptions
) -> AcquireResult:
    """Take a lock in place of others; return the result for its path."""
    if len(taken) > MAX_STOLEN:
        raise ClientError(
            f"{len(taken)} locks are in the way of {quote_text(path)}, more than {MAX_STOLEN}: "
            "name what is in it"
        )
    ids = [lock.id for lock in taken]
    return _acquire(repository, [path], options, ids).results[0]


def _acquire(
    repository: RepositoryClient, paths: Sequence[str], options: LockOptions, steal: Sequence[str]
) -> AcquireLocksResponse:
    request = AcquireLocksRequest(
        repository=repository.name,
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
    response = repository.call(repository.locks.AcquireLocks, request)
    if len(response.results) != len(paths):
        raise ClientError("the server answered for another number of paths than was asked")
    return response


def find_conflicts(
    repository: RepositoryClient, paths: Sequence[str], lock_type: LockType.ValueType
) -> dict[str, list[Lock]]:
    """Return for each path the locks that prevent a lock of this type by the caller."""
    found = list(list_locks(repository))
    return {path: [lock for lock in found if _conflicts(lock, path, lock_type)] for path in paths}


def _conflicts(lock: Lock, path: str, lock_type: LockType.ValueType) -> bool:
    """Return whether a lock prevents one of this type by the caller on the path."""
    if LOCK_TYPE_ADVISORY in (lock_type, lock.type) or lock_type == lock.type == LOCK_TYPE_SHARED:
        return False
    if lock.ours:
        return lock.path == path and lock.type != lock_type
    return lock.path in iterate_covering_paths(path) or (
        path.endswith("/") and lock.path.startswith(path)
    )


def release_locks(
    repository: RepositoryClient, ids: Sequence[str], *, timeout: float = TIMEOUT
) -> list[ReleaseResult]:
    """Release locks by their ids; return the result for each."""
    results: list[ReleaseResult] = []
    for batch in split_into_batches(ids, max_count=MAX_PATHS):
        request = ReleaseLocksRequest(repository=repository.name, lock_ids=batch)
        results += repository.call(repository.locks.ReleaseLocks, request, timeout).results
    return results


def renew_locks(
    repository: RepositoryClient,
    locks: Sequence[Lock],
    ttl_seconds: int | None = None,
    *,
    timeout: float = TIMEOUT,
) -> Iterator[RenewLocksResponse]:
    """Make locks last so long from now, by default as long as new ones; yield each batch's response."""
    for batch in split_into_batches(locks, max_count=MAX_PATHS):
        request = RenewLocksRequest(
            repository=repository.name,
            locks=[LockFence(lock_id=lock.id, fence=lock.fence) for lock in batch],
            batch_mode=BATCH_MODE_PER_PATH,
        )
        if ttl_seconds is not None:
            request.ttl.CopyFrom(Duration(seconds=ttl_seconds))
        yield repository.call(repository.locks.RenewLocks, request, timeout)


def list_locks(repository: RepositoryClient, *, holder: str = "") -> Iterator[Lock]:
    """Yield the live locks of a repository; the holder `me` is the caller, empty = everyone."""
    for page in list_lock_pages(repository, holder=holder):
        yield from page.locks


def list_lock_pages(
    repository: RepositoryClient, *, holder: str = "", timeout: float = TIMEOUT
) -> Iterator[ListLocksResponse]:
    """Yield the live locks of a repository in pages, which carry the server's time."""
    request = ListLocksRequest(repository=repository.name, holder=holder, page_size=MAX_PATHS)
    return iterate_pages(
        partial(repository.call, timeout=timeout), repository.locks.ListLocks, request
    )


def iterate_covering_paths(path: str) -> Iterator[str]:
    """Yield the path and the directories above it, as locks name them: directories end with a slash."""
    yield path
    at = len(path) - path.endswith("/")
    while (at := path.rfind("/", 0, at)) >= 0:
        yield path[: at + 1]
