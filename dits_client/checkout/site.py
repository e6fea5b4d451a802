"""The site of a checkout that starts from what differs in a folder."""

from dits_client.checkout.apply_plan import CheckoutSite
from dits_client.checkout.local_chunks import LocalChunks
from dits_client.checkout.records import list_stats
from dits_client.progress import Progress
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.changes import FolderChanges
from dits_client.workspace.local_directory import map_disk_names
from dits_client.workspace.workspace import Workspace


def open_site(
    workspace: Workspace,
    repository: RepositoryClient,
    found: FolderChanges,
    progress: Progress,
    *,
    force: bool = False,
) -> CheckoutSite:
    """Return the site of a folder that has been read; with `force`, changes since then are lost."""
    return CheckoutSite(
        workspace.root,
        repository,
        LocalChunks(workspace.root),
        list_stats(found.index),
        found.snapshot.seen,
        found.snapshot.directories[0].partial_files,
        force,
        progress,
        map_disk_names(found.snapshot.directories),
    )
