"""Taking, releasing and listing locks."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dits.lock.v1.lock_service_pb2 import (
    LOCK_TYPE_EXCLUSIVE,
    AcquireLocksRequest,
    AcquireResult,
    ListLocksRequest,
    Lock,
    LockType,
    ReleaseLocksRequest,
    ReleaseResult,
)
from google.protobuf.duration_pb2 import Duration

from dits_client.connection import Client
from dits_client.errors import ClientError

MAX_PATHS = 1000
# Of the locks that a push takes by itself: long enough for most, short enough to be no nuisance if
# the machine fails in between.
PUSH_TTL_SECONDS = 3600


@dataclass(slots=True)
class Options:
    """How locks are taken."""

    type: LockType.ValueType = LOCK_TYPE_EXCLUSIVE
    # None = the server's default.
    ttl_seconds: int | None = None
    reason: str = ""
    release_on_push: bool = False


@dataclass(slots=True)
class Held:
    """The locks that a push relies on."""

    locks: dict[str, Lock] = field(default_factory=dict)
    # Those that were taken for this push only.
    taken: list[str] = field(default_factory=list)


def acquire(
    client: Client, repository: str, paths: Sequence[str], options: Options
) -> Iterator[AcquireResult]:
    """Take locks in batches, each all or nothing; yield a result per path."""
    for first in range(0, len(paths), MAX_PATHS):
        request = AcquireLocksRequest(
            repository=repository,
            paths=paths[first : first + MAX_PATHS],
            type=options.type,
            reason=options.reason,
            release_on_push=options.release_on_push,
        )
        if options.ttl_seconds is not None:
            request.ttl.CopyFrom(Duration(seconds=options.ttl_seconds))
        yield from client.call(client.locks.AcquireLocks, request).results


def release(client: Client, repository: str, ids: Sequence[str]) -> Iterator[ReleaseResult]:
    """Release locks by their ids."""
    for first in range(0, len(ids), MAX_PATHS):
        batch = ids[first : first + MAX_PATHS]
        request = ReleaseLocksRequest(repository=repository, lock_ids=batch)
        yield from client.call(client.locks.ReleaseLocks, request).results


def live(client: Client, repository: str, *, prefix: str = "", owner: str = "") -> Iterator[Lock]:
    """List the live locks of a repository; `me` is the caller."""
    request = ListLocksRequest(
        repository=repository, path_prefix=prefix, owner=owner, page_size=MAX_PATHS
    )
    for page in client.pages(client.locks.ListLocks, request):
        yield from page.locks


def hold(client: Client, repository: str, paths: Iterable[str]) -> Held:
    """Have an exclusive lock on each path: one's own on it or a directory above, else a new one.

    If one cannot be had, those taken before are released again.
    """
    mine = {
        lock.path: lock
        for lock in live(client, repository, owner="me")
        if lock.type == LOCK_TYPE_EXCLUSIVE
    }
    held, wanted = Held(), []
    for path in paths:
        lock = next((mine[place] for place in _covering(path) if place in mine), None)
        if lock is None:
            wanted.append(path)
        else:
            held.locks[lock.id] = lock
    options = Options(ttl_seconds=PUSH_TTL_SECONDS, reason="being pushed", release_on_push=True)
    try:
        for result in acquire(client, repository, wanted, options):
            held.locks[result.lock.id] = result.lock
            if not result.already_held:
                held.taken.append(result.lock.id)
    except BaseException:
        let_go(client, repository, held)
        raise
    return held


def let_go(client: Client, repository: str, held: Held) -> None:
    """Release what was taken for a push that failed; if that fails too, the locks run out."""
    with suppress(ClientError):
        list(release(client, repository, held.taken))
    held.taken = []


def _covering(path: str) -> Iterator[str]:
    """Yield the path and the directories above it, as locks name them."""
    yield path
    at = len(path)
    while (at := path.rfind("/", 0, at)) >= 0:
        yield path[: at + 1]
