"""The ignore files that a folder has on the disk."""

import os
import stat
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from unicodedata import normalize

from dits_client.content.paths import iterate_parents
from dits_client.content.scope import IGNORE_FILE
from dits_client.disk.directory import Directory
from dits_client.errors import os_error
from dits_client.terminal import quote_text
from dits_client.workspace.ignore import DirectoryRules
from dits_client.workspace.safe_paths import BlockedError, SafePaths

# The rules of a longer file do not count; nor do those with which all different ones would be longer.
MAX_IGNORE_BYTES = 64 << 10
MAX_TOTAL_BYTES = 1 << 20


class IgnoreFiles:
    """Reads the ignore files of a folder; `warn` gets a sentence for each that does not count."""

    def __init__(self, warn: Callable[[str], None] = lambda _: None) -> None:
        self._warn = warn
        self._texts = set[str]()
        self._left = MAX_TOTAL_BYTES

    def read(self, place: Directory, directory: str = "") -> str:
        """Return the text of the ignore file of an open directory; empty if it has none that counts.

        A link is not followed. Raises ClientError if the file cannot be read.
        """
        path = f"{directory}/{IGNORE_FILE}" if directory else IGNORE_FILE
        try:
            mode = place.get_stat(IGNORE_FILE).st_mode
            if stat.S_ISLNK(mode):
                self._warn(f"{quote_text(path)} is a link: its patterns do not count")
            if not stat.S_ISREG(mode):
                return ""
            with os.fdopen(place.open_file(IGNORE_FILE), "rb") as file:
                content = file.read(MAX_IGNORE_BYTES + 1)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise os_error(error, "read", path) from error
        if len(content) > MAX_IGNORE_BYTES:
            self._warn(
                f"{quote_text(path)} has more than {MAX_IGNORE_BYTES:,} bytes: its patterns do not count"
            )
            return ""
        return self._add(content.decode(errors="surrogateescape"), len(content), path)

    def _add(self, text: str, size: int, path: str) -> str:
        if text in self._texts:
            return text
        if size > self._left:
            self._warn(
                f"{quote_text(path)} is too much beside other such files: its patterns do not count"
            )
            return ""
        self._left -= size
        self._texts.add(text)
        return text

    def read_below(self, root: Path, directory: str) -> str:
        """Return the text of the ignore file of a directory of a folder; empty if there is none."""
        names: dict[str, str] = {}
        with closing(SafePaths(root, names)) as safe_paths:
            try:
                _add_disk_names(names, safe_paths, directory)
                return self.read(safe_paths.open_directory(directory), directory)
            except (FileNotFoundError, BlockedError):
                return ""


def _add_disk_names(names: dict[str, str], safe_paths: SafePaths, directory: str) -> None:
    """Add the names on the disk, by path, of what is not in ASCII on the way to a directory."""
    for path in (*reversed(list(iterate_parents(directory))), directory):
        above, _, name = path.rpartition("/")
        if not name.isascii():
            found = safe_paths.open_directory(above).scan()
            alike = [entry.name for entry in found if normalize("NFC", entry.name) == name]
            names[path] = name if name in alike else next(iter(alike), name)


def read_rules(root: Path) -> DirectoryRules:
    """Return the rules of a folder, read as they are needed. Raises ClientError if the first cannot be."""
    return DirectoryRules(partial(IgnoreFiles().read_below, root))
