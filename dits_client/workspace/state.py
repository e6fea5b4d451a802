"""What a folder follows, as a file in its `.dits` tells."""

import json
import re
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dits_client.content.scope import Scope, are_rules
from dits_client.errors import ClientError, os_error
from dits_client.terminal import quote_text

if TYPE_CHECKING:
    from dits_client.server.repository import RepositoryInfo

_HASH = re.compile(r"[0-9a-f]{64}")


class ServerAccount(NamedTuple):
    """A server, and the account to call it with; what is empty is up to the user's logins."""

    server: str = ""
    username: str = ""


USUAL_ACCOUNT = ServerAccount()


@dataclass(slots=True)
class WorkspaceState:
    """What the folder follows; hashes are hexadecimal, empty = no push or pull happened yet."""

    # Name of the server, as in the credentials.
    server: str
    # `owner/name`, as it was at the last push.
    repository: str
    branch: str
    # The commit that the folder is compared with, and its tree.
    head: str = ""
    tree: str = ""
    # Files of that tree that the next push leaves out.
    untracked: list[str] = field(default_factory=list)
    # Files of that tree that are not in the folder, because the server has no content: hashes by path.
    gone: dict[str, str] = field(default_factory=dict)
    # Files of that tree that wait until somebody asks for them: hashes by path.
    waiting: dict[str, str] = field(default_factory=dict)
    # Files of those that are `gone` of which the folder has an older version: hashes by path.
    older: dict[str, str] = field(default_factory=dict)
    # The rules that say what the folder includes, see `Scope`; none = everything.
    included: dict[str, int | None] = field(default_factory=dict)
    # Whether files that need a lock, and are not locked by the user, are to be read-only.
    lock_readonly: bool = False
    # Username of the account that the folder is used with; empty = the one chosen last.
    account: str = ""
    # UUID of the repository: another one may get its name. Empty = the folder knows the name only.
    repository_id: str = ""

    @property
    def address(self) -> str:
        """What calls name the repository by."""
        return self.repository_id or self.repository

    @property
    def server_account(self) -> ServerAccount:
        """The server, and the account to call it with."""
        return ServerAccount(self.server, self.account)

    @property
    def away(self) -> dict[str, str]:
        """Files of that tree that the folder is without, and that nobody deleted: hashes by path."""
        return self.gone | self.waiting

    def forget_away(self, paths: Container[str]) -> bool:
        """Take paths for files as others, as what the user does there counts; return if that changes it."""
        before = len(self.gone) + len(self.waiting)
        self.gone = {path: content for path, content in self.gone.items() if path not in paths}
        self.waiting = {p: content for p, content in self.waiting.items() if p not in paths}
        self.older = {p: content for p, content in self.older.items() if p in self.gone}
        return len(self.gone) + len(self.waiting) < before

    @property
    def scope(self) -> Scope:
        """What the folder includes."""
        return Scope(self.included)


def make_state(
    server: str, info: "RepositoryInfo", branch: str = "", account: str = ""
) -> WorkspaceState:
    """Return the state of a new folder; it follows the default branch if none is named."""
    branch = branch or info.default_branch
    return WorkspaceState(server, info.name, branch, account=account, repository_id=info.id)


def load_state(path: Path) -> WorkspaceState:
    """Return the state that a file has. Raises ClientError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        state = WorkspaceState(**{name: found[name] for name in CHECKS if name in found})
    except OSError as error:
        raise os_error(error, "read", str(path)) from error
    except (ValueError, TypeError, RecursionError):
        raise _damaged(path) from None
    if not all(check(getattr(state, name)) for name, check in CHECKS.items()):
        raise _damaged(path)
    # To go on without what it says could delete files of others.
    if more := sorted(found.keys() - CHECKS.keys()):
        raise ClientError(
            f"a newer dits has written {quote_text(path)}, and this one does not know "
            f"{quote_text(more[0])}: update dits"
        )
    return state


def _damaged(path: Path) -> ClientError:
    return ClientError(f"{quote_text(path)} is damaged: clone the repository into another folder")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_hash(value: Any) -> bool:
    return _is_text(value) and (not value or _HASH.fullmatch(value) is not None)


def is_list(value: Any) -> bool:
    """Return whether something that was read from a file is a list of texts."""
    return isinstance(value, list) and all(map(_is_text, value))


def _are_hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_hash, value.values()))


# Of every field: one without would be taken for one of a newer client.
CHECKS: dict[str, Callable[[Any], bool]] = {
    "server": _is_text,
    "repository": _is_text,
    "branch": _is_text,
    "head": _is_hash,
    "tree": _is_hash,
    "untracked": is_list,
    "gone": _are_hashes,
    "waiting": _are_hashes,
    "older": _are_hashes,
    "included": are_rules,
    "lock_readonly": lambda value: isinstance(value, bool),
    "account": _is_text,
    "repository_id": _is_text,
}
