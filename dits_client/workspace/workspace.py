"""The `.dits` directory of a folder: which repository and commit it follows, and the index."""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Self

from dits_client.atomic_file import replace_file
from dits_client.content.scope import Scope
from dits_client.disk.file_lock import FileLock
from dits_client.errors import ClientError, NoWorkspaceError, os_error
from dits_client.terminal import quote_argument, quote_text
from dits_client.workspace.index import Index
from dits_client.workspace.journal import CheckoutJournal, unpack_rules
from dits_client.workspace.local_directory import OWN_DIRECTORY
from dits_client.workspace.state import WorkspaceState, load_state

# Of a read-only disk, and of a folder of someone else's.
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class Workspace:
    """A folder that follows a branch of a repository."""

    def __init__(self, root: Path, state: WorkspaceState) -> None:
        self.root = root
        self.own_directory = root / OWN_DIRECTORY
        self.state = state

    @classmethod
    def locate(cls, start: Path) -> Self:
        """Return the workspace that contains a directory. Raises NoWorkspaceError if none does."""
        try:
            start = start.resolve(strict=True)
        except OSError as error:
            raise os_error(error, "open folder", str(start)) from error
        for root in (start, *start.parents):
            if (found := cls.open(root)) is not None:
                return found
        message = (
            f"{quote_text(start)} is not a dits folder: run `dits init` in it, or `dits clone`"
        )
        raise NoWorkspaceError(message)

    @classmethod
    def open(cls, root: Path) -> Self | None:
        """Return the workspace with this top directory; None = it is not a workspace."""
        path = root / OWN_DIRECTORY / "state.json"
        return cls(root, load_state(path)) if path.is_file() else None

    @classmethod
    def create(cls, root: Path, state: WorkspaceState, *, is_checkout: bool = False) -> Self:
        """Make a folder a workspace; with `is_checkout`, one that a checkout is to complete.

        Raises ClientError if it is one already, or is inside one.
        """
        if not root.is_dir():
            raise ClientError(f"the folder {quote_text(root)} does not exist")
        root = root.resolve()
        for parent in (root, *root.parents):
            if (parent / OWN_DIRECTORY / "state.json").exists():
                raise ClientError(f"{quote_text(parent)} is a dits folder already")
        workspace = cls(root, state)
        try:
            workspace.own_directory.mkdir(exist_ok=True)
            # Before the state: from then on, it is a workspace.
            if is_checkout:
                workspace.journal.start()
            else:
                workspace.journal.remove()
            workspace.save()
        except OSError as error:
            raise os_error(error, "write", str(workspace.own_directory)) from error
        return workspace

    @property
    def index_path(self) -> Path:
        """The path of the index."""
        return self.own_directory / "index"

    @property
    def journal(self) -> CheckoutJournal:
        """The journal of a checkout that runs or was interrupted."""
        return CheckoutJournal(self.own_directory / "checkout")

    @property
    def wanted_branch(self) -> str:
        """The branch that an interrupted checkout was to bring, else that of the folder."""
        targets = self.journal.list_targets()
        return (targets[-1].branch if targets else "") or self.state.branch

    @property
    def wanted_commit(self) -> str:
        """The commit that an interrupted checkout was to bring, else that of the folder; empty = none."""
        targets = self.journal.list_targets()
        return targets[-1].commit if targets else self.state.head

    @property
    def wanted_scope(self) -> Scope:
        """What the folder was to include after an interrupted checkout, else what it includes."""
        targets = self.journal.list_targets()
        rules = targets[-1].rules if targets else ""
        return unpack_rules(rules) if rules else self.state.scope

    def check_complete(self) -> None:
        """Raise ClientError if a checkout was interrupted: what is missing was not deleted by the user."""
        if not self.journal.exists():
            return
        wanted = self.wanted_branch
        if wanted == self.state.branch:
            message = (
                "a clone, pull or switch was interrupted in this folder: run `dits pull` first"
            )
        else:
            message = (
                f"a switch to {wanted} was interrupted in this folder: run `dits switch --continue` "
                f"first, or `dits switch {quote_argument(self.state.branch)}` to go back"
            )
        raise ClientError(message)

    def save(self) -> None:
        """Write the state durably."""
        replace_file(
            self.own_directory / "state.json", json.dumps(asdict(self.state), indent=2).encode()
        )

    def load_index(self) -> Index:
        """Read the index."""
        return Index.open(self.index_path)

    def save_index(self, index: Index, keep: set[bytes], *, recipes: bool) -> None:
        """Write the index; a failure is ignored, because the index is a cache."""
        with suppress(OSError):
            index.save(self.index_path, keep, recipes=recipes)

    @contextmanager
    def lock(self, *, only_reads: bool = False) -> Iterator[None]:
        """Keep other commands out of the folder. Raises ClientError if one is at work there.

        A command that only reads does so also where it may not write, and keeps nobody out then.
        """
        try:
            lock = FileLock(self.own_directory / "lock")
        except OSError as error:
            if not only_reads or error.errno not in _NOT_WRITABLE:
                raise os_error(error, "write", str(self.own_directory)) from error
            self.state = load_state(self.own_directory / "state.json")
            yield
            return
        try:
            if not lock.try_acquire():
                raise ClientError(f"another dits command is at work in {quote_text(self.root)}")
            # Another command may have changed the state since it was read.
            self.state = load_state(self.own_directory / "state.json")
            yield
        finally:
            lock.close()
