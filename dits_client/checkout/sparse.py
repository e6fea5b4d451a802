"""Zeros of a file become holes: they take no room on the disk."""

import os

# Of a hole; the blocks of file systems are smaller.
BLOCK = 64 << 10
_ZEROS = bytes(BLOCK)


def write_sparsely(descriptor: int, content: bytes) -> None:
    """Write at the position of a new file; the caller sets its length, which a hole at the end does not."""
    if len(content) < BLOCK:
        _write(descriptor, memoryview(content))
        return
    view, start = memoryview(content), 0
    for at in range(0, len(content), BLOCK):
        # The first bytes tell most blocks that have something in them.
        if content[at] or content[at : at + BLOCK] != _ZEROS:
            continue
        _write(descriptor, view[start:at])
        start = min(at + BLOCK, len(content))
        os.lseek(descriptor, start - at, os.SEEK_CUR)
    _write(descriptor, view[start:])


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]
