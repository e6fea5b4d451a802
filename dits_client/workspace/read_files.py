"""Files that are not in the index are read on every core."""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.chunking import Cut, Cutter, choose_profile, cut_small
from dits_client.content.file_opener import FileOpener
from dits_client.content.holes import make_hole_passer
from dits_client.content.manifest import fill_file_entry
from dits_client.content.sources import Source
from dits_client.disk.directory import FileStat
from dits_client.disk.disks import get_disk
from dits_client.disk.reading import read_into
from dits_client.errors import ClientError, os_error
from dits_client.progress import Stage
from dits_client.terminal import quote_text
from dits_client.threads import run_in_threads
from dits_client.workspace.index import UNKNOWN_STAT, pack_stat
from dits_client.workspace.local_directory import OWN_DIRECTORY

# With more threads, memory and disks are the limit, not the cores.
MOST_THREADS = 8
# A smaller file is mostly work for the interpreter, which runs one thread at a time.
SMALL_BYTES = 32 << 10
# The content of a file that is no larger is kept until it is sent: to open it again would take longer than
# all else that its upload needs. At most some ten thousand are on their way.
KEPT_BYTES = 4 << 10
# A file that changes during this many attempts to read it is an error.
READ_ATTEMPTS = 3
# The clock that stamps files ticks every 10 ms or more often; file systems that store whole seconds may
# count in steps of two.
TICK_NS = 20_000_000
COARSE_TICK_NS = 2_000_000_000


@dataclass(slots=True, eq=False)
class UnreadFile:
    """A file to read, and its size in bytes when it was found."""

    path: str
    os_path: str
    size: int
    # See Source.
    top: str = ""


@dataclass(slots=True)
class ReadResult:
    """The content of a file: its entry, its chunks, its recipes."""

    entry: Entry
    # As it was while the file was read.
    seen: bytes
    # The same; UNKNOWN_STAT if a later change could leave it the same.
    stat: bytes
    source: Source
    cut: Cut
    recipes: list[bytes]


def read_files(
    unread: Iterable[UnreadFile],
    started_ns: int,
    use: Callable[[UnreadFile, ReadResult | None], None],
    stage: Stage,
    on_error: Callable[[], None],
) -> None:
    """Read files in several threads; call `use` with each result, None for a file that is gone.

    `started_ns` is a time before the scan of the files, by their disk's clock. After the first error no
    more files are read, and `on_error` must end what `use` waits for.
    """
    lock, failed = threading.Lock(), threading.Event()
    unread = list(unread)
    small = iter([item for item in unread if item.size < SMALL_BYTES])
    large = iter([item for item in unread if item.size >= SMALL_BYTES])

    def work(queues: Sequence[Iterator[UnreadFile]]) -> None:
        with closing(FileReader(started_ns)) as reader:
            for queue in queues:
                while not failed.is_set():
                    with lock:
                        item = next(queue, None)
                    if item is None:
                        break
                    use(item, reader.read_file(item))
                    stage.advance(item.size)

    threads = min(os.cpu_count() or 1, MOST_THREADS)

    def stop() -> None:
        failed.set()
        on_error()

    run_in_threads(threads, lambda number: work([large] if number else [small, large]), stop)


class FileReader:
    """Reads files; each thread needs its own."""

    def __init__(self, started_ns: int) -> None:
        self._opener = FileOpener()
        self._started_ns = started_ns
        self._get_stat = get_disk().get_open_stat

    @cached_property
    def _cutter(self) -> Cutter:
        # Made only if a file needs it: it takes as long as to read a hundred small ones.
        return Cutter()

    def close(self) -> None:
        """Close what is open."""
        self._opener.close()

    def read_file(self, item: UnreadFile) -> ReadResult | None:
        """Return the content of a file; None = it is gone."""
        for _ in range(READ_ATTEMPTS):
            try:
                descriptor = self._opener.open_file(item.os_path, item.top)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise os_error(error, "read", item.path) from error
            try:
                found = self._cut_file(descriptor, item)
            except OSError as error:
                raise os_error(error, "read", item.path) from error
            finally:
                os.close(descriptor)
            if found is not None:
                return found
        raise ClientError(
            f"{quote_text(item.path)} keeps changing: close the program that writes it"
        )

    def _cut_file(self, descriptor: int, item: UnreadFile) -> ReadResult | None:
        """Return the content of an open file; None = it was changed while it was read."""
        before = self._get_stat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise ClientError(f"{quote_text(item.path)} is not a file any more: try again")
        content = None
        size = before.st_size
        if 0 < size <= min(KEPT_BYTES, choose_profile(size).min_bytes):
            content = os.read(descriptor, size)
            cut = cut_small(content)
        else:
            pass_hole = make_hole_passer(descriptor, os.fstat(descriptor))
            cut = self._cutter.cut(lambda view: read_into(descriptor, view), size, pass_hole)
        found = pack_stat(self._get_stat(descriptor))
        if found != pack_stat(before) or cut.size != size:
            return None
        kept = UNKNOWN_STAT if is_racy(before, self._started_ns) else found
        entry = Entry()
        recipes = fill_file_entry(entry.file, before.st_mode, cut)
        source = Source(item.path, item.os_path, content, item.top)
        return ReadResult(entry, found, kept, source, cut, recipes)


def read_disk_clock(root: Path) -> int:
    """Return the time that the disk of a workspace stamps files with, in nanoseconds.

    A file server's clock may differ from that of this machine, whose time stands in where nothing can be
    stamped: no index is written there.
    """
    own = root / OWN_DIRECTORY
    try:
        os.utime(own)
        return own.stat().st_mtime_ns
    except OSError:
        return time.time_ns()


def is_racy(found: FileStat, started_ns: int) -> bool:
    """Return whether a change after `started_ns` could leave a file with the same times.

    Who changes a file can set its mtime back, and not its ctime; not every file system keeps the latter.
    """
    times = found.st_mtime_ns, found.st_ctime_ns
    return max(times) >= started_ns - COARSE_TICK_NS and any(
        time_ns >= started_ns - (TICK_NS if time_ns % 1_000_000_000 else COARSE_TICK_NS)
        for time_ns in times
    )
