"""What a change of a path may be, before its file is read."""

from collections.abc import Iterator

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.manifest import Change
from dits_client.workspace.index import unpack_size_and_mode

# Of a file that has not been read: it is empty.
UNREAD_ENTRY = Entry()


def predict_change(change: Change, found: bytes | None) -> Iterator[tuple[Change, bool]]:
    """Yield a change, and whether it is certain, unless the entries are equal."""
    _, old, new = change
    if old is None or new is None:
        yield change, True
    elif new.WhichOneof("kind") is None and found is not None:
        size, _ = unpack_size_and_mode(found)
        yield change, not old.HasField("file") or old.file.size != size
    elif (old.file, old.symlink) != (new.file, new.symlink):
        yield change, True
