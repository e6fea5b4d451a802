"""A lock follows the file that it is on when a push gives the file another name."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from dits.lock.v1.lock_service_pb2 import Lock

from dits_client.content.manifest import Change
from dits_client.server.locks import LockOptions, acquire_locks, release_locks
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text

# The shortest lock, in seconds.
MIN_TTL = 10


def move_locks(
    repository: RepositoryClient,
    held: Mapping[str, tuple[Lock, float]],
    changes: Sequence[Change],
    warn: Callable[[str], None],
) -> None:
    """Move locks from pushed deletions to the new files with their contents; tell where each lock is.

    `held` are the caller's locks by path, and the seconds that are left of each. Raises ClientError.
    """
    gone = [
        (path, old)
        for path, old, new in changes
        if path in held and old is not None and new is None
    ]
    added = _group_new_paths(changes) if gone else {}
    for path, old in gone:
        lock, left = held[path]
        found = added.get(old.file.hash, []) if old.file.size else []
        if len(found) == 1 and _take_lock(repository, found[0], lock, left):
            release_locks(repository, [lock.id])
            warn(f"your lock on {quote_text(path)} is on {quote_text(found[0])} now")
        else:
            warn(
                f"{quote_text(path)} is gone, and your lock on it stays: `dits unlock` gives it back"
            )


def _group_new_paths(changes: Iterable[Change]) -> dict[bytes, list[str]]:
    """Return the paths of the new files by the hashes of their contents."""
    found: dict[bytes, list[str]] = {}
    for path, old, new in changes:
        if old is None and new is not None and new.HasField("file"):
            found.setdefault(new.file.hash, []).append(path)
    return found


def _take_lock(repository: RepositoryClient, path: str, like: Lock, left: float) -> bool:
    """Take a lock like another one, of which so many seconds are left; return whether it was possible."""
    options = LockOptions(
        like.type,
        ttl_seconds=max(int(left), MIN_TTL),
        reason=like.reason,
        release_on_push=like.release_on_push,
        atomic=False,
    )
    (response,) = acquire_locks(repository, [path], options)
    return response.results[0].HasField("lock")
