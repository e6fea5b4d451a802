"""The locks that a push relies on: listed or taken as early as possible, and renewed until it ends."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Self

from dits.common.v1.lock_fence_pb2 import LockFence
from dits.common.v1.lock_type_pb2 import LOCK_TYPE_EXCLUSIVE
from dits.lock.v1.lock_service_pb2 import (
    Lock,
)

from dits_client.content.manifest import Change
from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError
from dits_client.push.lock_renewal import TTL_SECONDS, LockRenewal
from dits_client.push.moved_locks import move_locks
from dits_client.server.client import TIMEOUT
from dits_client.server.locks import (
    GIVE_BACK_SECONDS,
    LockOptions,
    acquire_locks,
    iterate_covering_paths,
    list_lock_pages,
    release_locks,
)
from dits_client.server.remote_errors import lock_held
from dits_client.server.repository import RepositoryClient

REASON = "being pushed"
# The most locks that a push may name; the server also checks those that are not named.
MAX_FENCES = 100_000
# Seconds for a call that the push can do without.
OPTIONAL_SECONDS = 5.0

DirectoryTest = Callable[[str], bool]


class PushLocks:
    """The caller's locks on what a push changes; the end of the context releases the ones it took.

    A file needs a lock if it is in the parent, the repository requires locks, and its patterns match. A
    removed directory gets one lock, not one for each file.
    """

    def __init__(
        self,
        repository: RepositoryClient,
        *,
        required: bool,
        strict: bool,
        patterns: Sequence[str] = (),
    ) -> None:
        """With `strict`, another holder's lock ends the push; without it the server decides later.

        On other branches than the default one, a file may become what it is there without a lock.
        """
        self._repository = repository
        self._required = required
        self._strict = strict
        self._patterns = tuple(patterns)
        # Exclusive locks of the caller by path.
        self._mine: dict[str, Lock] = {}
        self._theirs: dict[str, Lock] = {}
        # Those that the push relies on, by id.
        self._held: dict[str, Lock] = {}
        self._taken: list[str] = []
        # Paths that were last refused, with the lock that prevents each.
        self._refused: dict[str, Lock] = {}
        self._renewal = LockRenewal(repository)

    def __enter__(self) -> Self:
        try:
            self._list_locks()
        except ClientError:
            # Without required locks, a push does not need the lock service; the repo service checks.
            if self._required:
                raise
        self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._renewal.stop()
        # If that fails, they end by themselves.
        with suppress(ClientError):
            release_locks(self._repository, self._taken, timeout=GIVE_BACK_SECONDS)

    @property
    def fences(self) -> list[LockFence]:
        """The locks that the push names to the server."""
        held = islice(self._held.values(), MAX_FENCES)
        return [LockFence(lock_id=lock.id, fence=lock.fence) for lock in held]

    def list_taken(self) -> list[str]:
        """Return the paths of the locks that the push took, because the user had none there."""
        taken = set(self._taken)
        return sorted(path for path, lock in self._mine.items() if lock.id in taken)

    def are_relevant(self, *, is_new: bool) -> bool:
        """Return whether locks can prevent the push; `is_new` = the branch has no commit yet."""
        return bool(self._mine or self._theirs) or (self._required and not is_new)

    def check_early(
        self, predicted: Iterable[tuple[Change, bool]], is_there: DirectoryTest
    ) -> None:
        """Check the locks of others, and take those for the changes that are said to be certain."""
        sure = []
        for change, is_sure in predicted:
            self.keep_lock(change.path)
            if is_sure:
                self.check_change(change)
                sure.append(change)
        self.hold_locks(sure, is_there)

    def keep_lock(self, path: str) -> None:
        """Renew the caller's lock on a path that may change, if there is one."""
        lock = self._find_covering(self._mine, path)
        if lock is not None:
            self._renewal.add(lock)

    def check_change(self, change: Change) -> None:
        """Raise RemoteError if another holder's lock prevents a certain change."""
        lock = self._find_covering(self._theirs, change.path)
        if lock is not None and self._strict:
            raise lock_held(change.path, lock)

    def hold_locks(self, changes: Iterable[Change], is_there: DirectoryTest) -> None:
        """Take a lock on every changed file of the parent, if locks are required.

        `is_there` returns whether a directory, named without a slash, is in the new tree.
        """
        if not self._required:
            return
        wanted: dict[str, list[str]] = {}
        for change in self._choose_lockable(changes):
            self.keep_lock(change.path)
            lock = self._find_covering(self._mine, change.path)
            if lock is None:
                wanted.setdefault(_choose_lock_path(change, is_there), []).append(change.path)
            else:
                self._held[lock.id] = lock
        directories = [lock_path for lock_path in wanted if lock_path.endswith("/")]
        files = [
            path
            for lock_path in wanted
            if not lock_path.endswith("/")
            for path in wanted[lock_path]
        ]
        # A lock that prevents one on a directory may be on a file that the push does not change.
        for lock_path in self._acquire(directories, atomic=False):
            files += wanted[lock_path]
        self._refused = self._acquire(files, atomic=self._strict)

    def _choose_lockable(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Yield the changes that need a lock."""
        existing = (change for change in changes if change.old is not None)
        if not self._patterns:
            yield from existing
            return
        from shared.formats.path_patterns import PathPatterns

        patterns = PathPatterns.parse(self._patterns)
        yield from (change for change in existing if patterns.matches(change.path))

    def reload(self, path: str = "") -> None:
        """List the locks again, after the server found locks missing; `path` is the first such file.

        Raises RemoteError if another holder's lock on that path is known.
        """
        if path:
            self._required = True
        if path in self._refused:
            raise lock_held(path, self._refused[path])
        self._held.clear()
        self._list_locks()

    def forget(self, ids: Iterable[str]) -> None:
        """Forget locks that the push has ended."""
        gone = set(ids)
        self._mine = {path: lock for path, lock in self._mine.items() if lock.id not in gone}
        self._taken = [lock_id for lock_id in self._taken if lock_id not in gone]

    def follow(self, changes: Sequence[Change], warn: Callable[[str], None]) -> None:
        """Move locks to the new names of their files, after the push."""
        taken = set(self._taken)
        mine = {
            path: (lock, self._renewal.count_seconds_left(lock))
            for path, lock in self._mine.items()
            if lock.id not in taken
        }
        # The push is done, and the locks that were not moved are listed by `dits locks`.
        with suppress(ClientError):
            move_locks(self._repository, mine, changes, warn)

    def _list_locks(self) -> None:
        """List the locks of the repository."""
        mine: dict[str, Lock] = {}
        theirs: dict[str, Lock] = {}
        asked = time.monotonic()
        timeout = TIMEOUT if self._required else OPTIONAL_SECONDS
        for page in list_lock_pages(self._repository, timeout=timeout):
            for lock in page.locks:
                if lock.type == LOCK_TYPE_EXCLUSIVE:
                    (mine if lock.ours else theirs)[lock.path] = lock
                    if lock.ours:
                        self._renewal.note_end(lock, page.server_time, asked)
            asked = time.monotonic()
        self._mine, self._theirs = mine, theirs

    def _acquire(self, paths: Sequence[str], *, atomic: bool) -> dict[str, Lock]:
        """Take locks; return the refused paths, with the lock that prevents each."""
        options = LockOptions(
            ttl_seconds=int(TTL_SECONDS), reason=REASON, release_on_push=True, atomic=atomic
        )
        refused = {}
        asked = time.monotonic()
        for response in acquire_locks(self._repository, paths, options):
            for result in response.results:
                if not result.HasField("lock"):
                    refused[result.path] = result.conflict
                    continue
                lock = result.lock
                self._mine[lock.path] = self._held[lock.id] = lock
                # The push took it in an earlier attempt whose answer was lost.
                is_ours = lock.release_on_push and lock.reason == REASON
                if not result.already_held or is_ours:
                    self._taken.append(lock.id)
                self._renewal.note_end(lock, response.server_time, asked)
                self._renewal.add(lock)
            asked = time.monotonic()
        return refused

    def _find_covering(self, locks: dict[str, Lock], path: str) -> Lock | None:
        return next(
            (locks[lock_path] for lock_path in iterate_covering_paths(path) if lock_path in locks),
            None,
        )


def _choose_lock_path(change: Change, is_there: DirectoryTest) -> str:
    """Return the path to lock: the topmost directory that is removed with the file, or the file."""
    if change.new is None:
        for directory in reversed([*iterate_parents(change.path)]):
            if not is_there(directory):
                return directory + "/"
    return change.path
