"""A checkout plan is carried out: files are fetched, checked, and then renamed to their paths.

Each file is written under another name, checked against its hash, synchronised to the disk with others, and
renamed: its path has the old or the new content, never a part of one. The state of the folder moves last,
when all that is on the disk. After a power failure or an interrupted checkout, the same command completes
the work (`docs/decisions/0029-power-failures-and-accounts.md`).
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from dits_client.batches import split_into_batches
from dits_client.checkout.durable import sync_directories
from dits_client.checkout.equal_files import find_copies
from dits_client.checkout.local_chunks import LocalChunks
from dits_client.checkout.new_files import FileTarget, OverwriteGuard
from dits_client.checkout.plan import CheckoutPlan
from dits_client.checkout.write_files import FileWriter
from dits_client.content.paths import iterate_parents
from dits_client.content.scope import Scope
from dits_client.errors import ClientError, RemoteError, os_error
from dits_client.platform import Platform, probe_platform
from dits_client.progress import Progress
from dits_client.server.backoff import end_waits_at
from dits_client.server.repository import RepositoryClient
from dits_client.threads import run_in_threads
from dits_client.transfer.download import BATCH_BYTES, BATCH_CHUNKS, Downloader
from dits_client.transfer.lost_content import LostFilesError
from dits_client.transfer.work_queue import WorkStopped
from dits_client.workspace.index import UNKNOWN_STAT
from dits_client.workspace.local_directory import OWN_DIRECTORY
from dits_client.workspace.safe_paths import SafePaths

# Two keep a small server and the disk busy; more threads only need more memory.
THREADS = 2


@dataclass(slots=True)
class WriteResult:
    """What a checkout wrote, and the stats of the files for the index."""

    stats: dict[str, bytes] = field(default_factory=dict)
    bytes: int = 0
    chunks: int = 0
    chunks_received: int = 0
    # As encoded.
    bytes_received: int = 0
    # Files that the server cannot deliver: its reasons by path.
    lost: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class CheckoutSite:
    """The folder of a checkout, and what the checkout uses."""

    root: Path
    repository: RepositoryClient
    local: LocalChunks
    # Stats of the files of the folder, by path.
    found: Mapping[str, bytes]
    # As the scan saw them, where `found` has UNKNOWN_STAT.
    seen: Mapping[str, bytes]
    # What a killed command did not finish.
    partial_files: Sequence[str]
    force: bool
    progress: Progress
    # The names on the disk, by path, of what is not spelled in NFC there.
    disk_names: Mapping[str, str] = field(default_factory=dict)
    # Paths of files of the folder by their hashes, as far as they may be equal to what is written.
    equal: Mapping[bytes, str] = field(default_factory=dict)
    # None = what the disk of the folder shows.
    platform: Platform | None = None
    # What the folder includes before the checkout.
    scope: Scope = field(default_factory=Scope)

    def is_there(self, path: str) -> bool:
        """Return whether the scan found a file at a path."""
        stat = self.found.get(path)
        return stat is not None and (stat != UNKNOWN_STAT or path in self.seen)

    def find_platform(self) -> Platform:
        """Return what the folder's disk can store."""
        return self.platform or probe_platform(self.root / OWN_DIRECTORY)

    def open_paths(self) -> SafePaths:
        """Return the folder's paths, for one thread, which closes them."""
        return SafePaths(self.root, self.disk_names)


def apply_plan(site: CheckoutSite, plan: CheckoutPlan, *, may_miss: bool = False) -> WriteResult:
    """Carry out a plan; after a failure, a repetition does what is left.

    Raises LostFilesError after all has been written that the server can deliver; not with `may_miss`.
    """
    first = plan.list_first_removals(folds_case=site.find_platform().folds_case)
    _remove_files(site, first)
    try:
        written = _WriterPool(site, plan).write_all()
    except RemoteError as error:
        if error.is_absence:
            error.args = (f"{error}; when it is back, the same command does the rest",)
        raise
    if written.lost and not may_miss:
        raise LostFilesError(written.lost)
    done = set(first)
    _remove_files(site, [path for path in plan.removals if path not in done])
    _sync_directories(site, chain(plan.writes, plan.removals))
    return written


def _sync_directories(site: CheckoutSite, paths: Iterable[str]) -> None:
    """Return when the disk has what was done at some paths."""
    above = {parent for path in paths for parent in chain(iterate_parents(path), [""])}
    with closing(site.open_paths()) as safe_paths:
        there = [path for path in above if safe_paths.has_directory(path)]
        try:
            sync_directories(there, safe_paths.open_directory, safe_paths.top)
        except OSError as error:
            raise os_error(error, "write", str(site.root)) from error


def _remove_files(site: CheckoutSite, paths: list[str]) -> None:
    if not paths:
        return
    guard = OverwriteGuard(site.found, site.seen, force=site.force)
    with closing(site.open_paths()) as safe_paths:
        for path in paths:
            if safe_paths.get_file_stat(path) is not None:
                guard.check(safe_paths, path)
                safe_paths.remove_file(path)


class _WriterPool:
    """Several threads that write the files of a plan."""

    def __init__(self, site: CheckoutSite, plan: CheckoutPlan) -> None:
        self.written = WriteResult()
        self._site = site
        files = sort_targets(
            FileTarget(path, entry.file)
            for path, entry in plan.writes.items()
            if entry.HasField("file")
        )
        self.written.bytes = sum(target.file.size for target in files)
        self._stage = site.progress.start_stage("Writing", self.written.bytes)
        self._links = [
            (path, entry.symlink.target)
            for path, entry in plan.writes.items()
            if entry.HasField("symlink")
        ]
        first, self._copies = find_copies(files, site.equal)
        self._jobs = split_into_jobs(first)
        self._downloaders: list[Downloader] = []
        self._lock = threading.Lock()
        self._failed = threading.Event()

    def write_all(self) -> WriteResult:
        """Write all files, copies after what they are copies of, then links; raise the first error."""
        run_in_threads(THREADS, lambda _: self._work(self._do_job), self._stop)
        if self._copies:
            run_in_threads(THREADS, lambda _: self._work(self._do_copy), self._stop)
        if self._links:
            # Windows wants to know what a link leads to, which has to be there.
            run_in_threads(1, lambda _: self._work(self._do_link), self._stop)
        return self.written

    def _stop(self) -> None:
        self._failed.set()
        for downloader in self._downloaders:
            downloader.cancel()

    def _work(self, do_next: Callable[[FileWriter], bool]) -> None:
        end_waits_at(self._failed)
        site = self._site
        downloader = Downloader(site.repository, site.local.find_chunk)
        self._downloaders.append(downloader)
        guard = OverwriteGuard(site.found, site.seen, force=site.force)
        writer = FileWriter(site.open_paths(), downloader, guard, self._stage)
        with closing(writer):
            try:
                while not self._failed.is_set() and do_next(writer):
                    pass
                writer.new.place()
            except BaseException as error:
                # What is complete is of use to the next attempt.
                with suppress(ClientError):
                    writer.new.place()
                if isinstance(error, WorkStopped):
                    # Another thread raises its error.
                    return
                raise
        with self._lock:
            self.written.stats |= writer.new.stats
            self.written.lost |= writer.lost
            self.written.chunks += writer.chunks
            self.written.chunks_received += downloader.report.chunks
            self.written.bytes_received += downloader.report.bytes

    def _do_job(self, writer: FileWriter) -> bool:
        """Do one job; False = there are no more."""
        with self._lock:
            job = next(self._jobs, None)
        if job is not None:
            writer.write_files(job)
        return job is not None

    def _do_link(self, writer: FileWriter) -> bool:
        """Make one link; False = there are no more."""
        if not self._links:
            return False
        writer.new.write_link(*self._links.pop())
        return True

    def _do_copy(self, writer: FileWriter) -> bool:
        """Make one copy; False = there are no more."""
        with self._lock:
            if not self._copies:
                return False
            target, source = self._copies.pop()
        writer.copy_file(target, source)
        return True


def sort_targets(files: Iterable[FileTarget]) -> list[FileTarget]:
    """Return the files by path, equal ones in a row: the server sends a chunk once for each request."""
    ordered = sorted(files, key=lambda target: target.path)
    first: dict[bytes, int] = {}
    for at, target in enumerate(ordered):
        first.setdefault(target.file.hash, at)
    return sorted(ordered, key=lambda target: first[target.file.hash])


def split_into_jobs(files: Iterable[FileTarget]) -> Iterator[list[FileTarget]]:
    """Yield lists of files that are fetched together: many small ones, or one that is large."""
    return split_into_batches(
        files,
        max_count=BATCH_CHUNKS,
        max_bytes=BATCH_BYTES,
        measure=lambda target: target.file.size,
        # A file whose chunks are listed in recipes counts for none; it is large enough to be alone.
        count=lambda target: len(target.file.chunk_sizes),
    )
