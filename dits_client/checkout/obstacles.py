"""What the scan of a folder left out, and what is where a checkout writes: found before it starts."""

import stat
from contextlib import closing
from pathlib import Path

from dits_client.checkout.apply_plan import CheckoutSite
from dits_client.checkout.files_in_use import check_not_in_use
from dits_client.checkout.impossible_names import check_names
from dits_client.checkout.plan import CheckoutPlan
from dits_client.disk.directory import walk_files
from dits_client.disk.disks import get_disk
from dits_client.errors import ConflictError
from dits_client.progress import Progress
from dits_client.terminal import escape_text
from dits_client.workspace.changes import FolderChanges
from dits_client.workspace.ignore_files import read_rules
from dits_client.workspace.local_directory import OWN_DIRECTORY
from dits_client.workspace.safe_paths import BlockedError, SafePaths
from dits_client.workspace.scan import list_paths
from shared.formats.portable_names import fold_name

# The most paths that the sentence of a conflict names.
LISTED = 20


def check_plan(site: CheckoutSite, plan: CheckoutPlan, *, is_repeated: bool = False) -> None:
    """Raise ConflictError, before anything is written, if a plan would lose something of the user's.

    Partial files are removed. `is_repeated`: a checkout was interrupted, and until it is complete nothing
    is pushed, to a shelf neither. Raises ClientError for names that the disk cannot store.
    """
    platform = site.find_platform()
    own = site.root / OWN_DIRECTORY
    staying = site.found.keys() - set(plan.removals)
    check_names(platform, plan.writes, staying, lambda: get_disk().can_write_links(own))
    with closing(site.open_paths()) as safe_paths:
        for path in site.partial_files:
            safe_paths.remove_file(path)
        found = plan.conflicts or _list_obstacles(site, safe_paths, plan)
    if found:
        listed = "".join(f"\n  {escape_text(path)}" for path in found[:LISTED])
        more = f"\n  and {len(found) - LISTED} more" if len(found) > LISTED else ""
        way_out = "move them away"
        if plan.conflicts and not is_repeated:
            way_out += _advise_to_shelve(site, plan)
        raise ConflictError(f"local changes would be overwritten ({way_out}):{listed}{more}", found)
    with closing(site.open_paths()) as safe_paths:
        check_not_in_use(safe_paths, {*plan.writes, *plan.removals})
    if plan.edited:
        site.progress.warn(
            f"{list_paths(sorted(plan.edited))} differs from the commit, and stays as your change"
        )


def _advise_to_shelve(site: CheckoutSite, plan: CheckoutPlan) -> str:
    """Return what to add to an advice: a shelf takes what is included, and not ignored if it is new."""
    rules = read_rules(site.root)
    takes = {
        site.scope.covers(path) and (path in plan.tracked or not rules.cover(path))
        for path in plan.conflicts
    }
    if False not in takes:
        return " or `dits shelve` them"
    return "; `dits shelve` takes those that are included and not ignored" if True in takes else ""


def warn_of_ignored(root: Path, found: FolderChanges, progress: Progress) -> None:
    """Warn of files that came and are no changes of the folder, because they are ignored."""
    rules = read_rules(root)
    new = [x.path for x in found.coming if x.new and not found.tracked.get_entry(x.path)]
    if ignored := [
        path for path in new if found.tracked.outside.scope.covers(path) and rules.cover(path)
    ]:
        progress.warn(
            f"{list_paths(ignored)}: ignored here, so that `dits push` leaves it out unless "
            "`.ditsignore` is changed"
        )


def _list_obstacles(site: CheckoutSite, safe_paths: SafePaths, plan: CheckoutPlan) -> list[str]:
    """Return the files that are in the way of a plan and that it does not remove, sorted.

    Folders without any file are not in the way: they go.
    """
    going, found = set(plan.removals), set[str]()
    folds_case = site.find_platform().folds_case
    renamed = set(map(fold_name, plan.removals)) if folds_case else set[str]()
    for path in plan.writes:
        parent, _, _ = path.rpartition("/")
        try:
            above = safe_paths.open_directory(parent)
            mode = above.get_stat(safe_paths.get_disk_name(path)).st_mode
        except FileNotFoundError:
            continue
        except BlockedError as error:
            found |= {error.path} - going
            continue
        if stat.S_ISDIR(mode):
            name = safe_paths.get_disk_name(path)
            inner = {path + file[len(name) :] for file in walk_files(above, name)}
            found |= inner - going
        elif path not in site.found and not site.force and fold_name(path) not in renamed:
            # It is ignored.
            found.add(path)
    return sorted(found)
