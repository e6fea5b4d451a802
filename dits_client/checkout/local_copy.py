"""Copies of a file on one disk: its blocks are shared if the file system can do that, else copied.

Shared blocks (a *reflink*: Btrfs, XFS, bcachefs) take no room, and a change of one file is none of the
other, as with a copy. Hard links would be one file under two names, and are never made.
"""

import errno
import os
import sys
from collections.abc import Callable

from blake3 import blake3

from dits_client.checkout.sparse import write_sparsely
from dits_client.disk.reading import read_at

# _IOW(0x94, 9, int): the same number on all architectures that Python runs on but MIPS, PowerPC and SPARC,
# where the call fails and the bytes are copied.
_FICLONE = 0x40049409
# What a file system says that cannot share blocks, or not these two files'.
_CANNOT = {
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM, errno.EBADF,
    errno.ETXTBSY, errno.EISDIR,
}  # fmt: skip
_PIECE = 4 << 20

# Returns the number that the system returns. Raises OSError.
Ioctl = Callable[[int, int, int], object]


def _find_ioctl() -> Ioctl | None:
    if sys.platform == "win32":
        return None
    import fcntl

    return fcntl.ioctl


def copy_content(
    source: int, target: int, on_progress: Callable[[int], None], ioctl: Ioctl | None = None
) -> bytes:
    """Make a new file equal to another one; return the BLAKE3 of what it has now. Raises OSError."""
    whole = blake3()
    is_shared = _share_blocks(source, target, ioctl or _find_ioctl())
    # Of shared blocks, the new file is read: the other one may change at any time.
    readable, offset = target if is_shared else source, 0
    while content := read_at(readable, _PIECE, offset):
        whole.update(content)
        offset += len(content)
        if not is_shared:
            write_sparsely(target, content)
        on_progress(len(content))
    os.ftruncate(target, offset)
    return whole.digest()


def _share_blocks(source: int, target: int, ioctl: Ioctl | None) -> bool:
    if ioctl is None:
        return False
    try:
        ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True
