"""The journal of a checkout that has not reached its end: the commits that it was to bring."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from dits_client.content.scope import Scope, are_rules
from dits_client.disk.syncing import sync_descriptor
from dits_client.errors import os_error

_HASH = re.compile("[0-9a-f]{64}")
# Of each line: two hashes, perhaps a branch, perhaps rules.
_HASHES = 2


class CheckoutTarget(NamedTuple):
    """A commit and its tree, both hexadecimal, the branch to follow, and what the folder was to include."""

    commit: str
    tree: str
    # Empty = the branch that the folder follows.
    branch: str = ""
    # As `pack_rules` writes them; empty = as the folder's state says.
    rules: str = ""


class CheckoutJournal:
    """A file that exists while a checkout runs, and after one that was interrupted.

    It has a line for each commit that was to be brought since the last checkout that reached its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Return whether a checkout runs or was interrupted."""
        return self._path.exists()

    def start(self) -> None:
        """Note that a checkout starts, before its commit is known."""
        self._path.touch()

    def list_targets(self) -> list[CheckoutTarget]:
        """Return the commits, oldest first; a line that was not written completely is left out."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        lines = text.rpartition("\n")[0].splitlines()
        parts = [line.split(" ") for line in lines]
        return [
            CheckoutTarget(*part)
            for part in parts
            if _HASHES <= len(part) <= len(CheckoutTarget._fields)
            and all(map(_HASH.fullmatch, part[:_HASHES]))
            and (len(part) < len(CheckoutTarget._fields) or _are_packed_rules(part[-1]))
        ]

    def add_target(self, target: CheckoutTarget) -> None:
        """Note durably that files of a commit may be in the folder from now on.

        Raises ClientError: nothing is noted then, and nothing may be begun.
        """
        if target in self.list_targets()[-1:]:
            return
        before = self._path.stat().st_size if self.exists() else None
        try:
            with self._path.open("a", encoding="utf-8") as file:
                # The line before may have been cut off.
                file.write(f"\n{' '.join(target).rstrip()}\n")
                file.flush()
                sync_descriptor(file.fileno())
        except OSError as error:
            with suppress(OSError):
                if before is None:
                    self._path.unlink()
                else:
                    os.truncate(self._path, before)
            raise os_error(error, "write", str(self._path)) from error

    def remove(self) -> None:
        """Note that the checkout has reached its end."""
        self._path.unlink(missing_ok=True)


def pack_rules(scope: Scope) -> str:
    """Return the rules of a scope in one word."""
    return quote(json.dumps(scope.rules))


def unpack_rules(rules: str) -> Scope:
    """Return the scope of rules in one word. Raises ValueError."""
    return Scope(json.loads(unquote(rules)))


def _are_packed_rules(text: str) -> bool:
    with suppress(ValueError, RecursionError):
        return are_rules(json.loads(unquote(text)))
    return False
