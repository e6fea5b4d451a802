"""What checkouts that did not reach their end may have left in a folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import Change, compare_trees
from dits_client.content.scope import Scope
from dits_client.errors import ClientError
from dits_client.workspace.journal import CheckoutJournal, CheckoutTarget, unpack_rules
from dits_client.workspace.trees import Trees


@dataclass(slots=True)
class InterruptedCheckouts:
    """What checkouts that did not reach their end may have left in the folder."""

    # False = there were none.
    happened: bool = False
    # By path: the entries that these checkouts were to bring; None = they were to remove the path.
    written: Mapping[str, Sequence[Entry | None]] = field(default_factory=dict)
    # The commit of one is not known any more, on the server neither: what it did can be anything.
    is_unknown: bool = False
    # One was a clone: what is in the folder came with it.
    is_clone: bool = False

    @classmethod
    def load(
        cls, journal: CheckoutJournal, trees: Trees, base: bytes | None, included: Scope
    ) -> Self:
        """Return what a journal tells; `base` is the tree of the folder's commit."""
        written: dict[str, list[Entry | None]] = {}
        targets = journal.list_targets()
        known = list_interrupted(targets, trees, included)
        for tree, scope in known:
            scopes = (included, scope)
            for path, _, new in compare_trees(trees.load_manifest, base, tree, scopes=scopes):
                written.setdefault(path, []).append(new)
        return cls(journal.exists(), written, len(known) < len(targets), is_clone=base is None)

    def may_have_left(self, change: Change) -> bool:
        """Return whether a difference from the last complete checkout is none by the user."""
        if change.new is None:
            return self.happened
        return change.new in self.written.get(change.path, ())

    def may_have_been_edited(self, path: str, coming: Entry | None) -> bool:
        """Return whether a change may be an edit of what a clone brought, and that is still to come."""
        brought = self.written.get(path, ())
        return self.is_clone and bool(brought) and all(entry == coming for entry in brought)

    def are_to_undo(self, change: Change) -> bool:
        """Return whether these checkouts made a change, or may have made a deletion."""
        if self.is_unknown and change.new is None:
            return True
        return change.new in self.written.get(change.path, ())

    def cannot_tell(self, change: Change) -> bool:
        """Return whether a version of a file is as likely that of a commit that nobody knows."""
        is_version = change.old is not None and change.new is not None
        return self.is_unknown and is_version and not self.are_to_undo(change)

    def leave_out(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Yield the changes that the user made, as far as one can tell them from what is half done."""
        for change in changes:
            written = self.written.get(change.path, ())
            # What is to be replaced may have been removed already.
            if change.new not in written and not (change.new is None and written):
                yield change


NONE_INTERRUPTED = InterruptedCheckouts()


def list_interrupted(
    targets: Iterable[CheckoutTarget], trees: Trees, included: Scope
) -> list[tuple[bytes, Scope]]:
    """Return what interrupted checkouts were to bring of which trees, as far as these are known."""
    found = []
    for target in targets:
        tree = bytes.fromhex(target.tree)
        scope = unpack_rules(target.rules) if target.rules else included
        # If the branch was moved by force, the server may have deleted the commit.
        with suppress(ClientError):
            trees.list_manifests(tree, scope)
            found.append((tree, scope))
    return found
