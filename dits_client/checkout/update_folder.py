"""The steps of clone and pull: they bring a folder from one commit to another."""

from collections.abc import Container, Mapping, Sequence

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.checkout.apply_plan import CheckoutSite, WriteResult, apply_plan
from dits_client.checkout.coming_rules import fetch_ignore_test
from dits_client.checkout.equal_files import find_equal_files
from dits_client.checkout.gone_files import take_out_gone_files, tell_of_gone_files
from dits_client.checkout.local_chunks import find_local_chunks
from dits_client.checkout.obstacles import check_plan
from dits_client.checkout.older_versions import find_older_versions
from dits_client.checkout.plan import CheckoutPlan, make_plan
from dits_client.checkout.records import list_stats, make_records
from dits_client.checkout.report import CheckoutReport, make_report
from dits_client.checkout.waiting_files import take_out_waiting_files
from dits_client.content.manifest import Change, compare_trees
from dits_client.content.scope import Scope, join_scopes
from dits_client.platform import Platform
from dits_client.progress import Progress
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.lost_content import LostFilesError
from dits_client.workspace.changes import take_snapshot
from dits_client.workspace.interrupted import InterruptedCheckouts, list_interrupted
from dits_client.workspace.journal import CheckoutTarget, pack_rules
from dits_client.workspace.local_directory import map_disk_names
from dits_client.workspace.outside import OutsideEntries
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees
from dits_client.workspace.unusable import join_sentences
from dits_client.workspace.workspace import Workspace


class FolderUpdate:
    """One clone, pull or switch."""

    def __init__(
        self,
        workspace: Workspace,
        repository: RepositoryClient,
        progress: Progress | None,
        platform: Platform | None = None,
    ) -> None:
        """Take a workspace whose lock is held; `platform`: None = what its disk shows."""
        self._platform = platform
        self._workspace = workspace
        self._state = workspace.state
        # Files that differ from the commit to come stay, as changes of the user's.
        self.keeps_files = False
        self._left_out = dict(self._state.gone), dict(self._state.waiting)
        self._progress = progress or Progress()
        self._index = workspace.load_index()
        self._repository = repository
        self._journal = workspace.journal
        self._old_scope = self._scope = workspace.state.scope
        self._targets = self._journal.list_targets()
        commits = (self._state.head, *(target.commit for target in self._targets))
        self._trees = Trees(
            self._index.objects, lambda: repository, *commits, scope=self._old_scope
        )

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def apply(
        self, commit: str, *, force: bool, branch: str = "", scope: Scope | None = None
    ) -> CheckoutReport:
        """Bring the folder to a commit; the state, which may follow another branch then, moves last.

        With `force`, every file of the commit is then as the commit has it. `scope` is what the folder
        includes then; by default what an interrupted checkout was to bring, else what it includes. Raises
        LostFilesError if the server cannot deliver some files: the folder is complete but for them, unless
        it has older versions, which stay.
        """
        self._scope = self._workspace.wanted_scope if scope is None else scope
        again, branch = self._journal.exists(), branch or self._state.branch
        is_there = commit == self._state.head and self._scope == self._old_scope
        # What could not be fetched may be there again.
        if not commit or (is_there and not again and not force and not self._state.gone):
            self._follow(branch, self._state.head, self._state.tree)
            return make_report(self._state, CheckoutPlan(), WriteResult())
        base, tree, have = self._fetch_tree(commit)
        snapshot = self._read_folder(base, tree, have)
        upstream = self._list_coming(base, tree)
        local = self._compare(base, snapshot.tree, self._scope_read)
        site = self._open_site(snapshot, upstream, force=force)
        todo = self._make_plan(base, tree, upstream, local, force=force)
        check_plan(site, todo, is_repeated=again)
        self._leave_out(todo, upstream)
        waiting = take_out_waiting_files(
            self._repository, self._state.waiting, todo, upstream, self._scope, site.found
        )
        self._start(commit, tree, branch)
        written = apply_plan(site, todo, may_miss=True)
        self._state.waiting = waiting
        self._state.gone |= {path: todo.writes[path].file.hash.hex() for path in written.lost}
        stayed = filter(site.is_there, written.lost)
        self._state.older = find_older_versions(self._state, stayed, local, self._trees, base)
        changed = {change.path for change in local} - todo.same
        self._save_records(tree, site.found, written.stats, changed)
        self._follow(branch, commit, tree.hex())
        if written.lost:
            raise LostFilesError(written.lost, is_complete=True)
        return make_report(self._state, todo, written)

    def _make_plan(
        self,
        base: bytes | None,
        tree: bytes,
        upstream: Sequence[Change],
        local: Sequence[Change],
        *,
        force: bool,
    ) -> CheckoutPlan:
        todo = make_plan(
            upstream,
            local,
            force=force,
            keep=self.keeps_files,
            interrupted=InterruptedCheckouts.load(
                self._journal, self._trees, base, self._old_scope
            ),
            is_ignored=fetch_ignore_test(
                self._repository, self._trees, tree, upstream, self._workspace.root
            ),
        )
        if not force:
            lost, again = [*local, *self._unusable], self._journal.exists()
            todo.add_left_changes(lost, self._old_scope, self._scope, again=again)
        return todo

    def _fetch_tree(self, commit: str) -> tuple[bytes | None, bytes, list[bytes]]:
        """Return the tree that the folder follows, that of a commit, and what of the first is all here."""
        base = bytes.fromhex(self._state.tree) or None
        have = self._trees.list_complete_trees(base) if base else []
        self._trees.scope = self._scope
        _, tree = self._trees.fetch_tree(commit, have)
        return base, tree, have

    def _open_site(
        self, snapshot: Snapshot, upstream: Sequence[Change], *, force: bool
    ) -> CheckoutSite:
        root, obliterated = self._workspace.root, self._trees.obliterated
        return CheckoutSite(
            root,
            self._repository,
            find_local_chunks(root, self._repository, upstream, obliterated),
            list_stats(self._index),
            snapshot.seen,
            snapshot.directories[0].partial_files,
            force,
            self._progress,
            map_disk_names(snapshot.directories),
            find_equal_files(self._trees, self._state, upstream),
            self._platform,
            self._old_scope,
        )

    def _compare(self, base: bytes | None, tree: bytes, scope: Scope) -> list[Change]:
        """Return what differs from what the folder includes of its commit."""
        scopes = (self._old_scope, scope)
        return list(compare_trees(self._trees.load_manifest, base, tree, scopes=scopes))

    def _list_coming(self, base: bytes | None, tree: bytes) -> list[Change]:
        """Return what a tree changes; files that can be got again, which nobody could get, are new ones."""
        upstream = self._compare(base, tree, self._scope)
        gone = self._list_kept_gone(upstream).items()
        back = {p: h for p, h in gone if bytes.fromhex(h) not in self._trees.obliterated}
        tracked = TrackedPaths(self._trees.load_manifest, [tree])
        return upstream + [
            Change(path, None, entry)
            for path, content in back.items()
            if (entry := tracked.get_entry(path)) and entry.file.hash.hex() == content
        ]

    def _list_kept_gone(self, upstream: Sequence[Change]) -> dict[str, str]:
        """Return the files that nobody could get and that no change is about: hashes by path."""
        changed, gone = {change.path for change in upstream}, self._state.gone.items()
        return {p: h for p, h in gone if p not in changed and self._scope.covers(p)}

    def _leave_out(self, todo: CheckoutPlan, upstream: Sequence[Change]) -> None:
        """Take files out of a plan that nobody can get."""
        kept = self._list_kept_gone(upstream)
        if count := len(todo.untracked):
            self._progress.warn(f"ignored, no longer tracked, and kept here: {count} of the files")
        gone = take_out_gone_files(self._workspace.root, todo, self._trees.obliterated)
        tell_of_gone_files(self._progress, gone, self._trees.obliterated)
        self._state.gone = kept | {path: entry.file.hash.hex() for path, entry in gone.items()}

    def _read_folder(self, base: bytes | None, tree: bytes, keep: list[bytes]) -> Snapshot:
        """Return the state of the folder; files of the trees are not ignored.

        Those of a tree to come, too: an ignored file may be where it has one. So it is with what the folder
        is to include, or was to.
        """
        interrupted = list_interrupted(self._targets, self._trees, self._old_scope)
        load = self._trees.load_manifest
        scope = join_scopes([self._old_scope, self._scope, *(scope for _, scope in interrupted)])
        tracked = TrackedPaths(
            load,
            [base, tree, *(tree for tree, _ in interrupted)],
            outside=OutsideEntries(load, base, scope, self._state.away, older=self._state.older),
        )
        self._scope_read = scope
        snapshot = take_snapshot(self._workspace, self._index, self._progress.warn, tracked)
        try:
            snapshot.complete(progress=self._progress)
        except BaseException:
            self._workspace.save_index(self._index, set(keep), recipes=True)
            raise
        self._unusable = [Change(path, None, Entry()) for path in snapshot.unusable]
        if snapshot.unusable:
            self._progress.warn(f"left alone:{join_sentences(snapshot.unusable.values())}")
        return snapshot

    def _start(self, commit: str, tree: bytes, branch: str) -> None:
        """Prepare for an interruption: note the commit, and keep what was read and fetched."""
        rules = pack_rules(self._scope) if self._scope or self._old_scope else ""
        self._journal.add_target(CheckoutTarget(commit, tree.hex(), branch, rules))
        trees = [(tree, self._scope)]
        trees += list_interrupted(self._targets, self._trees, self._old_scope)
        if self._state.tree:
            trees.append((bytes.fromhex(self._state.tree), self._old_scope))
        keep = set[bytes]().union(*(self._trees.list_manifests(*part) for part in trees))
        self._workspace.save_index(self._index, keep, recipes=True)

    def _save_records(
        self,
        tree: bytes,
        found: Mapping[str, bytes],
        written: Mapping[str, bytes],
        changed: Container[str],
    ) -> None:
        """Make the index tell of a tree; the stats found belong to its files, except what was changed."""
        stats = {path: stat for path, stat in found.items() if path not in changed} | dict(written)
        self._index.records = make_records(self._trees, tree, stats, self._scope, self._state.away)
        self._workspace.save_index(self._index, set(), recipes=False)

    def _follow(self, branch: str, commit: str, tree: str) -> None:
        """Follow a branch at a commit: the checkout has reached its end."""
        state = self._state
        old = (state.branch, state.head, state.tree, self._old_scope, *self._left_out)
        if old != (branch, commit, tree, self._scope, state.gone, state.waiting):
            state.branch, state.head, state.tree = branch, commit, tree
            state.included = dict(self._scope.rules)
            self._workspace.save()
        self._journal.remove()
