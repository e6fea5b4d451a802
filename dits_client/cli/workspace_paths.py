"""The dits folder of the current directory, and the paths in it that the user typed."""

import os
import unicodedata
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from dits_client.content.paths import to_repository_path
from dits_client.errors import ClientError, NoWorkspaceError, UsageError
from dits_client.terminal import quote_text
from dits_client.workspace.state import USUAL_ACCOUNT, ServerAccount
from dits_client.workspace.workspace import Workspace


def open_workspace() -> Workspace:
    """Return the dits folder of the current directory."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise ClientError("the current folder is gone: change to another one") from None
    return Workspace.locate(here)


def find_server_account() -> ServerAccount:
    """Return server and account of the folder around the current directory, else the usual ones."""
    try:
        return open_workspace().state.server_account
    except NoWorkspaceError:
        return USUAL_ACCOUNT


def find_path(arguments: Namespace, text: str) -> str:
    """Return the repository path of one that the user typed, without slashes around it; "" = the top.

    In a folder it is meant from the current directory, with --repository from the top. Raises
    UsageError for a path outside of the folder.
    """
    if arguments.repository or not text:
        return to_repository_path(text)
    return _locate(open_workspace(), text)


def parse_paths(
    workspace: Workspace, given: list[str], *, may_be_whole: bool = False
) -> Iterator[str]:
    """Yield the repository paths of the paths that the user typed, each once. Raises UsageError.

    That of the whole folder, if it may be named, is `/`.
    """
    seen = set()
    for text in given:
        path, full = _locate(workspace, text), Path(text)
        if not (path or may_be_whole):
            raise UsageError("the whole folder cannot be named: name what is in it")
        if text.endswith(("/", os.sep)) or (full.is_dir() and not full.is_symlink()):
            path += "/"
        if path not in seen:
            seen.add(path)
            yield path


def _locate(workspace: Workspace, text: str) -> str:
    full = Path(text).absolute()
    # A link at the end is meant itself: its target may be outside of the folder. One before the end is
    # followed: the repository has nothing below a link.
    full = full.resolve() if full.name in ("", "..") else full.parent.resolve() / full.name
    try:
        path = full.relative_to(workspace.root).as_posix()
    except ValueError:
        raise UsageError(f"{quote_text(text)} is not in {quote_text(workspace.root)}") from None
    return "" if path == "." else unicodedata.normalize("NFC", path)
