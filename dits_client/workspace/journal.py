"""The journal of a checkout that has not reached its end: the commits that it was to bring."""

import os
from pathlib import Path
from typing import NamedTuple

_HASH_DIGITS = 64


class CheckoutTarget(NamedTuple):
    """A commit and its tree, both hexadecimal."""

    commit: str
    tree: str


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
            lines = self._path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        parts = [line.split(" ") for line in lines]
        return [
            CheckoutTarget(*part)
            for part in parts
            if len(part) == len(CheckoutTarget._fields)
            and all(len(name) == _HASH_DIGITS for name in part)
        ]

    def add_target(self, target: CheckoutTarget) -> None:
        """Note durably that files of a commit may be in the folder from now on."""
        if target in self.list_targets():
            return
        with self._path.open("a") as file:
            # The line before may have been cut off.
            file.write(f"\n{target.commit} {target.tree}\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Note that the checkout has reached its end."""
        self._path.unlink(missing_ok=True)
