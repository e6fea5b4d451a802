"""What the server cannot deliver any more, as the user should hear of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dits_client.errors import ClientError
from dits_client.terminal import format_count, quote_text

# The most files that one message names.
LISTED = 20
_CURE = "`dits push` in a folder that has {}, by whoever has one, sends it again"


class LostChunkError(ClientError):
    """The server cannot deliver a chunk."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server cannot deliver a chunk: {reason}")
        self.reason = reason


class LostFilesError(ClientError):
    """The server cannot deliver some files; `paths` lists them. All others are written."""

    def __init__(self, lost: Mapping[str, str], *, is_complete: bool = False) -> None:
        """Take the reasons by path; `is_complete`: the folder does without them, and can be pushed."""
        self.paths = sorted(lost)
        listed = [f"\n  {quote_text(path)} ({lost[path]})" for path in self.paths[:LISTED]]
        if len(self.paths) > LISTED:
            listed.append(f"\n  and {len(self.paths) - LISTED} more")
        cure = _CURE.format("this version of a file")
        files = format_count(len(lost), "file")
        then = ", and no push deletes these" if is_complete else ""
        super().__init__(
            f"{files} cannot be fetched; all others are written{then}. {cure}, and then `dits "
            f"pull`, or the same command, brings it:{''.join(listed)}"
        )


@contextmanager
def name_lost_file(path: str) -> Iterator[None]:
    """Name the file that a lost chunk belongs to, and what brings it back."""
    try:
        yield
    except LostChunkError as error:
        cure = _CURE.format("this version of the file")
        raise ClientError(f"{quote_text(path)} cannot be fetched ({error}): {cure}") from None
