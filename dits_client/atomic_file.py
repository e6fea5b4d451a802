"""Files that are replaced as a whole."""

import os
from contextlib import suppress
from pathlib import Path

from dits_client.disk.disks import get_disk
from dits_client.disk.syncing import sync_descriptor


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file by one with this content and mode 0600; readers see the old or the new content."""
    # It takes a while to load, and many commands write nothing.
    import tempfile

    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            sync_descriptor(file.fileno())
        get_disk().replace(Path(temporary), path)
    except BaseException as error:
        with suppress(OSError):
            Path(temporary).unlink()
        if isinstance(error, OSError) and not error.filename:
            # A write does not say where.
            error.filename = str(path)
        raise
