"""Where the bytes of a chunk are: they are read when a message is written, not held in memory."""

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from dits_client.content.compression import CompressionHistory
from dits_client.content.file_opener import FileOpener
from dits_client.disk.reading import read_into_at
from dits_client.errors import ClientError, os_error
from dits_client.terminal import quote_text


@dataclass(slots=True, eq=False)
class Source:
    """A file of the folder, or bytes in memory, which may be all of a small file."""

    # The path that the user knows.
    label: str
    path: str = ""
    content: bytes | None = None
    # The folder below which no link is followed to the path; empty = links are.
    top: str = ""
    history: CompressionHistory = field(default_factory=CompressionHistory)


class Piece(NamedTuple):
    """A chunk and its position in a source."""

    source: Source
    offset: int
    size: int
    hash: bytes


class VanishedFileError(ClientError):
    """A file is gone that was read before; `path` is what the user knows."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{quote_text(path)} vanished while it was being sent: try again")
        self.path = path


def changed_file_error(label: str) -> ClientError:
    """Return the error for a file that was changed while it was read."""
    return ClientError(f"{quote_text(label)} was changed while it was being read: try again")


class PieceReader:
    """Reads pieces and keeps the last file open; each thread needs its own."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._descriptor = -1
        self._opener = FileOpener()

    def read_into(self, view: memoryview, piece: Piece) -> None:
        """Fill the view, which is as long as the piece. Raises ClientError if the file cannot be read."""
        source = piece.source
        if source.content is not None:
            view[:] = source.content[piece.offset : piece.offset + piece.size]
            return
        try:
            if source is not self._source:
                self._close_file()
                self._descriptor = self._opener.open_file(source.path, source.top)
                self._source = source
            done = 0
            while done < piece.size:
                count = read_into_at(self._descriptor, view[done:], piece.offset + done)
                if count == 0:
                    raise changed_file_error(source.label)
                done += count
        except FileNotFoundError:
            raise VanishedFileError(source.label) from None
        except OSError as error:
            raise os_error(error, "read", source.label) from error

    def close(self) -> None:
        """Close what is open."""
        self._close_file()
        self._opener.close()

    def _close_file(self) -> None:
        if self._source is not None:
            os.close(self._descriptor)
            self._source = None
