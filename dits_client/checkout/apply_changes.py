"""Changes between two trees of the repository become changes of the user's in a folder."""

from collections.abc import Iterable

from dits_client.checkout.apply_plan import apply_plan
from dits_client.checkout.gone_files import tell_of_gone_files
from dits_client.checkout.obstacles import check_plan
from dits_client.checkout.plan import make_plan
from dits_client.checkout.site import open_site
from dits_client.content.manifest import Change
from dits_client.errors import ConflictError
from dits_client.progress import Progress
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_argument
from dits_client.workspace.changes import FolderChanges
from dits_client.workspace.included import check_included
from dits_client.workspace.scan import list_paths
from dits_client.workspace.workspace import Workspace


def apply_changes(
    workspace: Workspace,
    remote: RepositoryClient,
    found: FolderChanges,
    source: str,
    progress: Progress,
) -> list[Change]:
    """Make what is to come in a folder, which follows the commit that it followed; return what it has then.

    `source`: a revision that has what the changes bring.

    What is as they say already is left alone: after an interruption the same command does the rest. What
    they bring that nobody can get any more, as the fetched trees told, is left out. Raises
    ConflictError, and changes nothing, where the folder or its commit has other changes of the same files,
    or does not include some.
    """
    workspace.check_complete()
    check_included(workspace.state.scope, [change.path for change in found.coming])
    changes = _leave_out_gone_files(found, progress)
    upstream, conflicts = [], set[str]()
    for path, old, new in changes:
        now = found.tracked.get_entry(path)
        upstream.append(Change(path, now, new))
        if now not in (old, new):
            conflicts.add(path)
    plan = make_plan(upstream, found.changes, force=False)
    if conflicts:
        raise _changed_since(workspace, source, conflicts, plan.conflicts)
    site = open_site(workspace, remote, found, progress)
    check_plan(site, plan)
    apply_plan(site, plan)
    if workspace.state.forget_away({change.path for change in changes}):
        workspace.save()
    return changes


def _leave_out_gone_files(found: FolderChanges, progress: Progress) -> list[Change]:
    obliterated, changes = found.trees.obliterated, found.coming
    gone = {path: new for path, _, new in changes if new and new.file.hash in obliterated}
    tell_of_gone_files(progress, gone, obliterated)
    return [change for change in changes if change.path not in gone]


def _changed_since(
    workspace: Workspace, source: str, paths: set[str], local: Iterable[str]
) -> ConflictError:
    """Return the error for files that the folder's commit has otherwise, and perhaps for local changes."""
    message = (
        f"{workspace.state.branch} has other changes of {list_paths(sorted(paths))} since: "
        f"`dits restore PATH --revision {quote_argument(source)}` brings a file nevertheless, on top of "
        "these"
    )
    if here := sorted(set(local) - paths):
        message += f"; and here are local changes of {list_paths(here)}: `dits shelve` them"
    return ConflictError(message, sorted(paths.union(here)))
