"""What a clone or pull came to."""

from dataclasses import dataclass


@dataclass(slots=True)
class CheckoutReport:
    """What a clone or pull came to."""

    # The commit that the folder is at now, hexadecimal; empty = the repository has none yet.
    commit: str
    branch: str
    # Files and links written, and paths removed.
    files: int
    removed: int
    # Of the files written: bytes, and chunks with recipes.
    bytes: int
    chunks: int
    # Over the wire; the other chunks were in the folder.
    chunks_received: int
    # As encoded.
    bytes_received: int
    seconds: float
