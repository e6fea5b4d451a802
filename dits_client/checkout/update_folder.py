"""The steps of clone and pull: they bring a folder from one commit to another."""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.checkout.apply_plan import CheckoutSite, WriteResult, apply_plan
from dits_client.checkout.local_chunks import LocalChunks
from dits_client.checkout.plan import CheckoutPlan, InterruptedCheckouts, make_plan
from dits_client.checkout.records import list_stats, make_records
from dits_client.checkout.report import CheckoutReport
from dits_client.content.manifest import (
    Change,
    compare_trees,
    iterate_manifests,
    parse_entries,
)
from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError, ConflictError
from dits_client.progress import Progress
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.download import Downloader
from dits_client.workspace.ignore import IGNORE_FILE, IgnoreRules
from dits_client.workspace.journal import CheckoutTarget
from dits_client.workspace.safe_paths import SafePaths
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees
from dits_client.workspace.unusable import join_sentences
from dits_client.workspace.workspace import Workspace

# A longer file of ignore rules is not read.
MAX_IGNORE_BYTES = 1 << 20
# The most paths that the sentence of a conflict names.
LISTED = 20


class FolderUpdate:
    """One clone or pull."""

    def __init__(
        self, workspace: Workspace, repository: RepositoryClient, progress: Progress | None
    ) -> None:
        self._workspace = workspace
        self._state = workspace.state
        self._progress = progress or Progress()
        self._index = workspace.load_index()
        self._repository = repository
        self._journal = workspace.journal
        self._targets = self._journal.list_targets()
        commits = (self._state.head, *(target.commit for target in self._targets))
        self._trees = Trees(self._index.objects, lambda: repository, *commits)

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def apply(self, commit: str, *, force: bool) -> CheckoutReport:
        """Bring the folder to a commit; the state moves last.

        With `force`, every file of the commit is then as the commit has it.
        """
        again = self._journal.exists()
        if not commit or (commit == self._state.head and not again and not force):
            self._journal.remove()
            return self._report(CheckoutPlan(), WriteResult())
        base = bytes.fromhex(self._state.tree) or None
        have = list(iterate_manifests(self._trees.load_manifest, base, set()))[::-1] if base else []
        _, tree = self._trees.fetch_tree(commit, have)
        snapshot = self._read_folder([base, *self._list_interrupted_trees()], have)
        found = list_stats(self._index)
        upstream = list(compare_trees(self._trees.load_manifest, base, tree))
        local = list(compare_trees(self._trees.load_manifest, base, snapshot.tree))
        interrupted = InterruptedCheckouts(again, self._list_written(base))
        ignored = self._fetch_ignore_rules(tree, upstream)
        todo = make_plan(
            upstream, local, force=force, interrupted=interrupted, is_ignored=ignored.cover
        )
        if todo.conflicts:
            raise _conflict(todo.conflicts)
        _check_spelling(snapshot, todo)
        self._start(commit, tree)
        self._clean(snapshot)
        site = CheckoutSite(
            self._workspace.root,
            self._repository,
            self._local(upstream),
            found,
            force,
            self._progress,
        )
        written = apply_plan(site, todo)
        self._tell_of_untracked(len(todo.untracked))
        changed = {change.path for change in local} - todo.same
        known = {path: stat for path, stat in found.items() if path not in changed}
        self._settle(commit, tree, known | written.stats)
        return self._report(todo, written)

    def _tell_of_untracked(self, count: int) -> None:
        if count:
            self._progress.warn(f"{count} ignored files are no longer tracked, and stay here")

    def _fetch_ignore_rules(self, tree: bytes, upstream: Sequence[Change]) -> IgnoreRules:
        """Return the ignore rules that a tree brings; none if nothing is removed."""
        if all(change.new is not None for change in upstream):
            return IgnoreRules("")
        entry = parse_entries(self._trees.load_manifest(tree)).get(IGNORE_FILE)
        if entry is None or not 0 < entry.file.size <= MAX_IGNORE_BYTES:
            return IgnoreRules("")
        downloader = Downloader(self._repository, lambda _: None)
        (chunks,) = downloader.fetch_chunk_lists([entry.file])
        content = b"".join(downloader.fetch_chunks(chunks))
        return IgnoreRules(content.decode(errors="replace"))

    def _list_written(self, base: bytes | None) -> dict[str, list[Entry | None]]:
        """Return what interrupted checkouts were to bring, by path."""
        written: dict[str, list[Entry | None]] = {}
        for tree in self._list_interrupted_trees():
            for path, _, new in compare_trees(self._trees.load_manifest, base, tree):
                written.setdefault(path, []).append(new)
        return written

    def _list_interrupted_trees(self) -> list[bytes]:
        """Return the trees that interrupted checkouts were to bring, as far as they are known."""
        found = []
        for target in self._targets:
            tree = bytes.fromhex(target.tree)
            # If the branch was moved by force, the server may have deleted the commit.
            with suppress(ClientError):
                self._trees.list_manifests(tree)
                found.append(tree)
        return found

    def _read_folder(self, trees: list[bytes | None], keep: list[bytes]) -> Snapshot:
        """Return the state of the folder; files of the trees are not ignored."""
        tracked = TrackedPaths(self._trees.load_manifest, trees)
        snapshot = Snapshot(self._workspace.root, self._index, self._progress.warn, tracked)
        try:
            snapshot.complete(progress=self._progress)
        except BaseException:
            self._workspace.save_index(self._index, set(keep), recipes=True)
            raise
        if snapshot.unusable:
            self._progress.warn(f"left alone:{join_sentences(snapshot.unusable)}")
        return snapshot

    def _start(self, commit: str, tree: bytes) -> None:
        """Prepare for an interruption: note the commit, and keep what was read and fetched."""
        self._journal.add_target(CheckoutTarget(commit, tree.hex()))
        trees = {tree, *self._list_interrupted_trees()}
        if self._state.tree:
            trees.add(bytes.fromhex(self._state.tree))
        keep = set[bytes]().union(*map(self._trees.list_manifests, trees))
        self._workspace.save_index(self._index, keep, recipes=True)

    def _clean(self, snapshot: Snapshot) -> None:
        """Remove files that a killed checkout did not finish."""
        with closing(SafePaths(self._workspace.root)) as safe_paths:
            for path in snapshot.directories[0].partial_files:
                safe_paths.remove_file(path)

    def _local(self, upstream: list[Change]) -> LocalChunks:
        """Return the chunks of the changed files: often most of a file is unchanged."""
        local = LocalChunks(self._workspace.root)
        downloader = Downloader(self._repository, lambda _: None)
        known = {
            path: old.file for path, old, _ in upstream if old is not None and old.HasField("file")
        }
        lists = downloader.fetch_chunk_lists(list(known.values()))
        for path, chunks in zip(known, lists, strict=True):
            local.add_file(path, chunks)
        return local

    def _settle(self, commit: str, tree: bytes, stats: Mapping[str, bytes]) -> None:
        """Follow the new commit; `stats` belong to the files that are as in its tree."""
        self._index.records = make_records(self._trees, tree, stats)
        self._workspace.save_index(self._index, set(), recipes=False)
        self._state.head, self._state.tree = commit, tree.hex()
        self._workspace.save()
        self._journal.remove()

    def _report(self, todo: CheckoutPlan, written: WriteResult) -> CheckoutReport:
        return CheckoutReport(
            commit=self._state.head,
            branch=self._state.branch,
            files=len(todo.writes),
            removed=len(todo.removals),
            bytes=written.bytes,
            chunks=written.chunks,
            chunks_received=written.chunks_received,
            bytes_received=written.bytes_received,
            seconds=0.0,
        )


def _check_spelling(snapshot: Snapshot, todo: CheckoutPlan) -> None:
    """Raise ClientError for a path that is on the disk under a name that is not in NFC."""
    spelled = {
        folder.join_path(name) for folder in snapshot.directories for name in folder.disk_names
    }
    if not spelled:
        return
    for path in (*todo.writes, *todo.removals):
        for place in (path, *iterate_parents(path)):
            if place in spelled:
                raise ClientError(f"{place!a} is not spelled in NFC on the disk: rename it first")


def _conflict(paths: list[str]) -> ConflictError:
    listed = "".join(f"\n  {path}" for path in paths[:LISTED])
    more = f"\n  and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ConflictError(f"local changes would be overwritten:{listed}{more}", paths)
