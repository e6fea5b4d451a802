"""Memory of the process while it transfers gigabytes."""

import sys
from contextlib import suppress

# mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD; the greatest value of the latter is 32 MiB.
_TRIM, _MMAP = -1, -3
_KEPT_BYTES = 512 << 20
_LARGEST_BYTES = 32 << 20


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next allocations; for a process that ends soon.

    Each message of a stream takes about a megabyte, several times. To get that from the system each time,
    page by page, costs a tenth of the processor time of a push.
    """
    if sys.platform != "linux":
        return
    import ctypes

    # Other C libraries do not have this call.
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM, _KEPT_BYTES)
        library.mallopt(_MMAP, _LARGEST_BYTES)
