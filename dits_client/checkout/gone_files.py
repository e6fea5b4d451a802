"""Files whose contents were obliterated: a checkout leaves them out, and goes on."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from dits.repo.v1.manifest_pb2 import Entry
from dits.repo.v1.tree_service_pb2 import DirectoryEntry

from dits_client.checkout.plan import CheckoutPlan
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.terminal import escape_text, format_count, quote_text
from dits_client.workspace.safe_paths import SafePaths

# The most files that warnings name.
LISTED = 20


def refuse_gone_file(path: str, entry: DirectoryEntry) -> None:
    """Raise ClientError for a file that nobody can get."""
    if entry.obliteration_reason:
        raise ClientError(
            f"{quote_text(path)} was removed from every version: {entry.obliteration_reason}"
        )


def take_out_gone_files(
    root: Path, plan: CheckoutPlan, obliterated: Mapping[bytes, str]
) -> dict[str, Entry]:
    """Take the files out of a plan that nobody can get; return them. An older version of one is removed."""
    gone = {p: e for p, e in plan.writes.items() if e.file.hash in obliterated}
    with closing(SafePaths(root)) as safe_paths:
        for path in gone:
            del plan.writes[path]
            if safe_paths.get_stat(path) is not None:
                plan.removals.append(path)
    return gone


def tell_of_gone_files(
    progress: Progress, gone: Mapping[str, Entry], obliterated: Mapping[bytes, str]
) -> None:
    """Say which files are left out, and why."""
    for path, entry in sorted(gone.items())[:LISTED]:
        reason = escape_text(obliterated[entry.file.hash])
        progress.warn(
            f"{quote_text(path)} is left out: it was removed from every version: {reason}"
        )
    if len(gone) > LISTED:
        progress.warn(f"left out, too: {format_count(len(gone) - LISTED, 'more file')}")
