"""What the server cannot deliver any more, as the user should hear of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dits_client.errors import ClientError


class LostChunkError(ClientError):
    """The server cannot deliver a chunk."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server cannot deliver a chunk: {reason}")


@contextmanager
def name_lost_file(path: str) -> Iterator[None]:
    """Name the file that a lost chunk belongs to, and what brings it back."""
    try:
        yield
    except LostChunkError as error:
        message = (
            f'"{path}" cannot be fetched ({error}): `dits push` in a folder that has this version '
            "of the file, by whoever has one, sends it again"
        )
        raise ClientError(message) from None
