"""What a push refuses: before it reads or sends anything, and before it commits deletions."""

from collections.abc import Container, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from dits.common.v1.error_reason_pb2 import ERROR_REASON_HEAD_MOVED
from dits.repo.v1.manifest_pb2 import CommitContent

from dits_client.content.manifest import Change
from dits_client.errors import ClientError, RemoteError
from dits_client.push.report import Author, PushOptions
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_argument, quote_text
from dits_client.workspace.identity import check_followed
from dits_client.workspace.index import DIRECTORY_STAT, unpack_size_and_mode
from dits_client.workspace.local_directory import LocalDirectory
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.scan import list_paths
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.unusable import join_sentences
from shared.formats.canonical import EMPTY_HASH, FormatError
from shared.formats.commits import check_commit, check_message
from shared.formats.limits import MAX_DEPTH
from shared.formats.manifests import MAX_MANIFEST_BYTES, MAX_NAME_BYTES
from shared.formats.shelves import SHELVES, is_shelf

LEAVE_SHELF = "run `dits switch` with your branch, then `dits unshelve`"
# The fewest bytes of an entry without its name: those of an empty file or a directory, of another file.
SMALL_ENTRY_BYTES, FILE_ENTRY_BYTES = 38, 76


def check_text(message: str) -> None:
    """Raise ClientError unless a text may be the message of a commit."""
    try:
        check_message(message)
    except UnicodeEncodeError:
        raise ClientError("the commit cannot be made: its message is not UTF-8") from None
    except FormatError as error:
        raise ClientError(f"the commit cannot be made: {error.description}") from None


def check_author(author: Author) -> None:
    """Raise ClientError unless commits may have this author."""
    signer = author.sign()
    commit = CommitContent(tree_hash=EMPTY_HASH, author=signer, committer=signer)
    try:
        check_commit(commit)
    except FormatError as error:
        raise ClientError(f"the commit cannot be made: {error}") from None


def check_head(
    remote: RepositoryClient, wanted: PushOptions, head: str, state: WorkspaceState
) -> None:
    """Raise an error for a second commit of a shelf, or if the folder does not follow the branch's head."""
    if is_shelf(wanted.branch) and (head or wanted.branch == state.branch):
        # What brings it back knows of one commit.
        message = f"{wanted.branch} is a shelf, which has one commit: {LEAVE_SHELF}"
        raise ClientError(message)
    check_followed(remote, state, head)
    if wanted.force or head in ("", state.head):
        return
    message = f"{wanted.branch} has other commits on the server: run `dits pull` first"
    raise RemoteError(message, code="ABORTED", reason=ERROR_REASON_HEAD_MOVED)


def nothing_aside_error(unusable: Iterable[str]) -> ClientError:
    """Return the error for a shelf without any change, with the sentences about what it leaves out."""
    listed = join_sentences(set(unusable))
    more = f", and no shelf takes:{listed}" if listed else ""
    return ClientError(f"nothing has changed: there is nothing to put aside{more}")


def not_noted_error(branch: str, commit: str, reason: str) -> ClientError:
    """Return the error for a commit that the server has, and the folder does not know of."""
    if is_shelf(branch):
        shelf = branch.removeprefix(SHELVES)
        return ClientError(
            f"the changes are on a shelf and still here, because this folder cannot note it ({reason}): "
            f"cure that, run `dits unshelve {quote_argument(shelf)}`, which removes the shelf, and put "
            "them aside again"
        )
    return ClientError(
        f"the server has the commit {commit[:12]}, and this folder cannot note it ({reason}): cure that, "
        "and run `dits pull`"
    )


def check_snapshot(snapshot: Snapshot) -> None:
    """Raise ClientError for folders that trees cannot store; no file has been read yet."""
    for directory in snapshot.directories:
        if directory.path and directory.path.count("/") + 2 > MAX_DEPTH:
            raise ClientError(
                f"the folder {quote_text(directory.path)} is too deep: at most {MAX_DEPTH} may be "
                "in one another"
            )
        if _measure_manifest(directory) > MAX_MANIFEST_BYTES:
            path = directory.path or "."
            raise ClientError(f"the folder {quote_text(path)} has too many entries: divide it")


def _measure_manifest(directory: LocalDirectory) -> int:
    """Return the fewest bytes that the manifest can have; 0 if it is small for sure."""
    count = len(directory.names)
    if count * (MAX_NAME_BYTES + FILE_ENTRY_BYTES) <= MAX_MANIFEST_BYTES:
        return 0
    files = sum(
        found != DIRECTORY_STAT and unpack_size_and_mode(found)[0] > 0 for found in directory.stats
    )
    fixed = files * FILE_ENTRY_BYTES + (count - files) * SMALL_ENTRY_BYTES
    return fixed + sum(map(len, directory.names))


def check_deletions(root: Path, changes: Sequence[Change], untracked: Container[str]) -> None:
    """Raise ClientError for files that the push would delete, and that are there.

    Programs save a file by renaming it away and another one into its place: it was away during the scan.
    """
    gone = [path for path, _, entry in changes if entry is None and path not in untracked]
    if not gone:
        return
    # Where the disk does not tell cases apart, a renamed file is there under its old name, too.
    new = {change.path.casefold() for change in changes if change.old is None}
    with closing(SafePaths(root)) as safe_paths:
        back = [
            path
            for path in gone
            if path.casefold() not in new and safe_paths.get_file_stat(path) is not None
        ]
    if back:
        raise ClientError(f"{list_paths(back)} was away while the folder was read: try again")
