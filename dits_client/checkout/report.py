"""The result of a clone or pull."""

from dataclasses import dataclass


@dataclass(slots=True)
class CheckoutReport:
    """The result of a clone or pull."""

    # The commit that the folder follows now, hexadecimal; empty = the repository has none yet.
    commit: str
    branch: str
    # Files and links written, and paths removed.
    files: int
    removed: int
    # Of the files written: bytes, and chunks with recipes.
    bytes: int
    chunks: int
    # Chunks that the server sent; the others were in the folder.
    chunks_received: int
    # Bytes of these chunks as the server sent them.
    bytes_received: int
    seconds: float
