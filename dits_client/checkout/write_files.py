"""The contents of a checkout's files: fetched, or copied from files that are there."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from blake3 import blake3

from dits_client.checkout.local_copy import copy_content
from dits_client.checkout.new_files import DamagedError, FileTarget, NewFiles, OverwriteGuard
from dits_client.checkout.sparse import write_sparsely
from dits_client.content.chunking import ChunkRef
from dits_client.errors import ClientError
from dits_client.progress import Stage
from dits_client.transfer.download import Downloader
from dits_client.transfer.lost_content import LostChunkError
from dits_client.workspace.safe_paths import SafePaths
from shared.formats.canonical import split_hashes


class FileWriter:
    """Fetches and writes files; each thread needs its own."""

    def __init__(
        self, safe_paths: SafePaths, downloader: Downloader, guard: OverwriteGuard, stage: Stage
    ) -> None:
        """Take the paths, which `close` closes."""
        self.new = NewFiles(safe_paths, guard)
        self.chunks = 0
        # Files that the server cannot deliver: its reasons by path.
        self.lost: dict[str, str] = {}
        self._downloader = downloader
        self._stage = stage
        self._safe_paths = safe_paths

    def close(self) -> None:
        """Close the open directories."""
        self._safe_paths.close()

    def write_files(self, targets: Sequence[FileTarget]) -> None:
        """Write files; their chunks are fetched in one go. Those that are lost are noted."""
        lists: dict[str, list[ChunkRef]] = {}

        def read_lists(left: Sequence[FileTarget]) -> Iterator[None]:
            found = self._downloader.fetch_chunk_lists([target.file for target in left])
            for target, chunks in zip(left, found, strict=True):
                lists[target.path] = chunks
                yield

        def write(left: Sequence[FileTarget]) -> Iterator[None]:
            wanted = [chunk for target in left for chunk in lists[target.path]]
            contents = self._downloader.fetch_chunks(wanted)
            for target in left:
                mine = islice(contents, len(lists[target.path]))
                self.new.write_file(target, partial(self._write_chunks, contents=mine))
                yield

        self._do_each(targets, read_lists, _list_recipes)
        known = [target for target in targets if target.path in lists]
        self.chunks += sum(len(lists[target.path]) + len(_list_recipes(target)) for target in known)
        self._do_each(known, write, lambda target: [chunk.hash for chunk in lists[target.path]])

    def _do_each(
        self,
        targets: Sequence[FileTarget],
        do: Callable[[Sequence[FileTarget]], Iterator[None]],
        list_hashes: Callable[[FileTarget], Iterable[bytes]],
    ) -> None:
        """Do something with files, one after the other; go on behind one whose chunks are lost.

        `do` yields after each file that is done; the next start leaves out what is known to be lost.
        """
        left = list(targets)
        while left:
            done = 0
            try:
                for _ in do(left):
                    done += 1
            except LostChunkError as error:
                self.lost[left[done].path] = error.reason
            # Nothing, if all were done.
            rest, left = left[done + 1 :], []
            for target in rest:
                reasons = map(self._downloader.lost.get, list_hashes(target))
                reason = next((found for found in reasons if found is not None), None)
                if reason is None:
                    left.append(target)
                else:
                    self.lost[target.path] = reason

    def copy_file(self, target: FileTarget, source: str) -> None:
        """Write a file that is equal to one of the folder; it is fetched if that has changed meanwhile."""
        advanced = 0

        def advance(count: int) -> None:
            nonlocal advanced
            advanced += count
            self._stage.advance(count)

        try:
            above = self._safe_paths.open_directory(source.rpartition("/")[0])
            descriptor = above.open_file(self._safe_paths.get_disk_name(source))
        except (OSError, ClientError):
            self.write_files([target])
            return
        try:
            self.new.write_file(target, lambda new: copy_content(descriptor, new, advance))
        except DamagedError:
            self._stage.advance(-advanced)
            self.write_files([target])
        finally:
            os.close(descriptor)

    def _write_chunks(self, descriptor: int, contents: Iterable[bytes]) -> bytes:
        whole = blake3()
        for content in contents:
            whole.update(content)
            write_sparsely(descriptor, content)
            self._stage.advance(len(content))
        return whole.digest()


def _list_recipes(target: FileTarget) -> list[bytes]:
    return split_hashes(target.file.recipe_hashes)
