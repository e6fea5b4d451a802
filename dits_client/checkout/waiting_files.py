"""Files that come when somebody asks for them: a checkout leaves them out, `dits fetch` brings them."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.checkout.apply_plan import apply_plan
from dits_client.checkout.obstacles import check_plan
from dits_client.checkout.plan import CheckoutPlan
from dits_client.checkout.site import open_site
from dits_client.content.manifest import Change
from dits_client.content.paths import iterate_parents
from dits_client.content.scope import IGNORE_FILE, Scope
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.workspace.changes import FolderChanges, open_changes
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.workspace import Workspace


@dataclass(slots=True)
class FetchReport:
    """What was fetched, and the files that still wait."""

    files: int
    bytes: int
    waiting: int


def take_out_waiting_files(
    repository: RepositoryClient,
    waiting: Mapping[str, str],
    plan: CheckoutPlan,
    upstream: Sequence[Change],
    scope: Scope,
    here: Container[str],
) -> dict[str, str]:
    """Take files out of a plan that wait; return what waits after it: hashes by path.

    A file waits if it is new and the repository's patterns match it, or if it has waited before. What
    the folder includes no more waits no more, nor does what is `here`: left as it is, it would be a change
    that takes back what the commit brings. The ignore rules never wait: without them, what they name would
    be pushed.
    """
    changes = {change.path: change for change in upstream}
    files = {
        path
        for path, entry in plan.writes.items()
        if entry.HasField("file") and path not in here and path.rpartition("/")[2] != IGNORE_FILE
    }
    found = {path for path in files if path in waiting}
    new = {path for path in files - found if path in changes and changes[path].old is None}
    if new and (patterns := repository.get_info().on_demand_patterns):
        # It takes a while to load.
        from shared.formats.path_patterns import PathPatterns

        matching = PathPatterns.parse(patterns)
        found |= {path for path in new if matching.matches(path)}
    kept = {
        path: content
        for path, content in waiting.items()
        if path not in changes and path not in plan.writes and scope.covers(path)
    }
    return kept | {path: plan.writes.pop(path).file.hash.hex() for path in found}


def fetch_paths(
    folder: Path, client: Client, paths: Sequence[str], *, progress: Progress | None = None
) -> FetchReport:
    """Bring files that wait, those at paths and below, "" = all, as the folder's commit has them.

    An interrupted one is completed by the same command. Raises ConflictError where another file is in the
    way, ClientError for a path at which nothing waits.
    """
    progress, workspace = progress or Progress(), Workspace.locate(folder)
    remote = RepositoryClient(client, workspace.state.address)
    with workspace.lock(), open_changes(workspace, lambda: client, progress) as found:
        workspace.check_complete()
        state = workspace.state
        plan = CheckoutPlan(writes=_find_waiting(found, state.waiting, paths))
        plan.conflicts = sorted(plan.writes.keys() & {change.path for change in found.changes})
        site = open_site(workspace, remote, found, progress)
        check_plan(site, plan)
        done = set(plan.writes)
        for path in [path for path in done if found.is_here(path)]:
            del plan.writes[path]
        written = apply_plan(site, plan)
        state.waiting = {path: h for path, h in state.waiting.items() if path not in done}
        workspace.save()
    with workspace.lock():
        update_modes(workspace, remote, progress)
    return FetchReport(len(plan.writes), written.bytes, len(state.waiting))


def _find_waiting(
    found: FolderChanges, waiting: Mapping[str, str], paths: Sequence[str]
) -> dict[str, Entry]:
    """Return what waits at paths and below, as the folder's commit has it. Raises ClientError."""
    entries: dict[str, Entry] = {}
    for path in paths:
        below = [each for each in waiting if path in ("", each, *iterate_parents(each))]
        if not below:
            raise ClientError(
                f"no file waits at {quote_text(path or '.')}: `dits status --json` lists those that do"
            )
        entries.update((each, entry) for each in below if (entry := found.tracked.get_entry(each)))
    return entries
