"""A push: the state of the folder becomes a commit on the server."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from dits.repo.v1.commit_service_pb2 import PushResponse

from dits_client.content.manifest import Change, compare_trees
from dits_client.content.sources import VanishedFileError
from dits_client.progress import Progress
from dits_client.push.author import complete_author
from dits_client.push.locks import PushLocks
from dits_client.push.lost_chunks import send_lost_chunks
from dits_client.push.move_branch import move_branch
from dits_client.push.offer import Offer, make_pieces
from dits_client.push.questions import Questions
from dits_client.push.refusals import (
    check_author,
    check_deletions,
    check_head,
    check_text,
    not_noted_error,
    nothing_aside_error,
)
from dits_client.push.region_wait import send_when_copied
from dits_client.push.repair import PushRepair
from dits_client.push.report import Author, PushOptions, PushReport, UploadResult, make_report
from dits_client.push.repository_rules import check_limits, find_refused_names
from dits_client.push.scan_folder import scan_folder
from dits_client.push.stream import EARLY_BYTES, Proposal, PushSender, make_proposal
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.upload import Uploader
from dits_client.workspace.identity import note_repository
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import Index
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.read_files import READ_ATTEMPTS, ReadResult
from dits_client.workspace.scan import list_paths
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees
from dits_client.workspace.unusable import describe_left_out
from dits_client.workspace.workspace import Workspace
from shared.formats.commits import commit_hash
from shared.formats.shelves import is_shelf

# What is left out of a push is said before it, too, if it has to read so much.
LONG_BYTES = 1 << 30


def push_folder(
    folder: Path,
    client: Client,
    *,
    message: str = "",
    branch: str = "",
    force: bool = False,
    author: Author | None = None,
    ignore: IgnoreRules | None = None,
    progress: Progress | None = None,
) -> PushReport:
    """Commit the folder's state and push it; return the report.

    `branch` makes the folder follow another branch, which may be new. With `force` the branch loses commits
    that the folder does not have. `ignore` counts instead of the folder's own rules. Raises ClientError.
    """
    started = time.monotonic()
    check_text(message)
    workspace = Workspace.locate(folder)
    with workspace.lock():
        workspace.check_complete()
        wanted = PushOptions(message, branch or workspace.state.branch, force, author, ignore)
        report = _push(lambda: _Push(workspace, client, progress or Progress()), wanted)
        update_modes(workspace, RepositoryClient(client, workspace.state.address), progress)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _push(
    start: Callable[[], "_Push"], wanted: PushOptions, attempts: int = READ_ATTEMPTS
) -> PushReport:
    """Push; if a new file vanishes that was read already, the folder is read again."""
    work = start()
    try:
        return work.push(wanted)
    except VanishedFileError as error:
        if attempts == 1 or work.has_before(error.path):
            raise
    finally:
        work.index.close()
    return _push(start, wanted, attempts - 1)


class _Push:
    """One push."""

    def __init__(self, workspace: Workspace, client: Client, progress: Progress) -> None:
        self.index: Index = workspace.load_index()
        self._workspace, self._progress = workspace, progress
        self._state = state = workspace.state
        self._repository = repository = RepositoryClient(client, state.address)
        self._trees = Trees(self.index.objects, lambda: repository, state.head, scope=state.scope)
        self._sender = PushSender(repository, self._trees.load_manifest)
        self._parent = bytes.fromhex(state.tree) or None
        self._changes: list[Change] = []

    def has_before(self, path: str) -> bool:
        """Return whether the commit that the folder follows has a file."""
        return self._open_tracked().has_file(path)

    def _open_tracked(self) -> TrackedPaths:
        return TrackedPaths(self._trees.load_manifest, [self._parent])

    def _scan(self, wanted: PushOptions, refused: Mapping[str, str] | None = None) -> Snapshot:
        """Scan the folder, without what is refused."""
        return scan_folder(
            self._workspace, self.index, self._trees, wanted.ignore, self._progress.warn, refused
        )

    def _predict(
        self, snapshot: Snapshot, wanted: PushOptions, *, portable: bool
    ) -> tuple[Snapshot, list[tuple[Change, bool]]]:
        """Return what may have changed, each whether for certain, in the folder without refused names."""
        found = list(snapshot.predict_changes(self._trees.load_manifest, self._parent))
        sure = [change for change, is_sure in found if is_sure] if portable else []
        if not (refused := find_refused_names(snapshot, sure, self._open_tracked())):
            return snapshot, found
        return self._predict(self._scan(wanted, refused), wanted, portable=False)

    def push(self, wanted: PushOptions) -> PushReport:
        """Push; locks that are taken for it are released at the end."""
        asked = Questions(self._repository, wanted.branch)
        snapshot, head = self._scan(wanted), asked.head.get()
        if not snapshot.changed and snapshot.tree == self._parent:
            return self._finish_unchanged(snapshot, wanted, head)
        check_head(self._repository, wanted, head, self._state)
        author = complete_author(self._repository.client, wanted.author)
        check_author(author)
        info = asked.info.get()
        note_repository(self._state, self._repository, info)
        check_limits(snapshot, asked.limits.get())
        snapshot, predicted = self._predict(snapshot, wanted, portable=info.portable_names)
        with PushLocks(
            self._repository,
            required=info.lock_required and not is_shelf(wanted.branch),
            patterns=info.lock_patterns,
            strict=wanted.branch == info.default_branch,
        ) as held:
            # Before the upload, which may take hours.
            if held.are_relevant(is_new=self._parent is None):
                held.check_early(predicted, snapshot.directories_by_path.__contains__)
            propose = partial(make_proposal, wanted, author, self._state.head, head)
            with self._sender:
                uploaded, proposal = self._upload_changes(snapshot, held, propose)
                if proposal is None:
                    return self._finish_unchanged(snapshot, wanted, head)
                offer = Offer(self.index.objects, snapshot.get_source)
                response = self._propose(proposal, offer, held)
            if self._state.lock_readonly and (taken := held.list_taken()):
                self._progress.warn(
                    f"{list_paths(taken)} was changed without your lock: `dits lock` comes first"
                )
            held.forget(response.released_lock_ids)
            self._follow_commit(proposal, snapshot.tree)
            if not is_shelf(wanted.branch):
                held.follow(self._changes, self._progress.warn)
            send_lost_chunks(self._repository, self._trees, offer, self._state, self._progress)
        return make_report(snapshot, self._state, self._changes, uploaded)

    def _finish_unchanged(self, snapshot: Snapshot, wanted: PushOptions, head: str) -> PushReport:
        """Create the branch, or move it by force, where there is nothing to commit."""
        state = self._state
        if is_shelf(wanted.branch) and wanted.branch != state.branch:
            raise nothing_aside_error(snapshot.unusable.values())
        offer = Offer(self.index.objects, snapshot.get_source)
        send_lost_chunks(self._repository, self._trees, offer, state, self._progress)
        behind = move_branch(self._repository, wanted, head, state)
        if wanted.branch != state.branch:
            state.branch = wanted.branch
            self._workspace.save()
        return make_report(snapshot, state, behind=behind)

    def _upload_changes(
        self, snapshot: Snapshot, held: PushLocks, propose: Callable[[bytes], Proposal]
    ) -> tuple[UploadResult, Proposal | None]:
        """Read and upload the changed files at the same time, take the locks, and propose the tree.

        Return what was sent, and the proposal; None = nothing has changed.
        """
        read: set[str] = set()
        if snapshot.unusable and snapshot.bytes_to_read >= LONG_BYTES:
            self._progress.warn(describe_left_out(snapshot.unusable.values()))
        with Uploader(self._repository, progress=self._progress) as uploader:

            def on_file(item: ReadResult) -> None:
                read.add(item.source.label)
                uploader.offer_pieces(
                    make_pieces(item.source, item.cut.list_chunks(), item.recipes)
                )

            try:
                snapshot.complete(on_file, self._progress, uploader.stop)
            finally:
                # Saved now: if the rest fails, these files are not read again.
                self._save_index(recipes=True)
            self._changes = list(
                compare_trees(self._trees.load_manifest, self._parent, snapshot.tree)
            )
            check_deletions(self._workspace.root, self._changes, self._state.untracked)
            offer = Offer(self.index.objects, snapshot.get_source)
            for found in offer.iterate_unread(self._changes, read):
                uploader.offer_pieces(found)
            held.hold_locks(self._changes, self.index.records.__contains__)
            proposal = propose(snapshot.tree) if self._changes else None
            if proposal is not None:
                known = self._list_parent_manifests()
                proposal.manifests = self._trees.list_new_manifests(snapshot.tree, known)
                proposal.locks = held.fences
                if uploader.bytes <= EARLY_BYTES:
                    self._sender.begin(proposal)
            return UploadResult(uploader.finish(), uploader.pieces), proposal

    def _list_parent_manifests(self) -> set[bytes]:
        return self._trees.list_manifests(self._parent) if self._parent else set()

    def _propose(self, proposal: Proposal, offer: Offer, held: PushLocks) -> PushResponse:
        """Send the push; supply what the server finds missing, and send it again."""
        repair = PushRepair(self._repository, self._trees, self.index, self._changes, offer, held)
        send = partial(self._sender.send, proposal)
        return repair.send_repaired(lambda: send_when_copied(send, self._progress), proposal)

    def _follow_commit(self, proposal: Proposal, tree: bytes) -> None:
        """Make the folder follow the new commit."""
        state = self._state
        state.head, state.tree = commit_hash(proposal.commit), tree.hex()
        state.branch, state.untracked = proposal.branch, []
        state.forget_away({change.path for change in self._changes})
        try:
            self._workspace.save()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise not_noted_error(proposal.branch, state.head, reason) from error
        self._parent = tree
        self._save_index(recipes=False)

    def _save_index(self, *, recipes: bool) -> None:
        self._workspace.save_index(self.index, self._list_parent_manifests(), recipes=recipes)
