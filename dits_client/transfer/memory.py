"""How the process keeps its memory while it moves gigabytes."""

from contextlib import suppress

# mallopt(3): M_TRIM_THRESHOLD and M_MMAP_THRESHOLD; the latter's greatest value is half a heap.
_TRIM, _MMAP = -1, -3
_KEPT_BYTES = 512 << 20
_LARGEST_BYTES = 32 << 20


def keep_freed_memory() -> None:
    """Have the C library use freed memory again instead of giving it back to the system.

    Every message of a stream is a megabyte or so, several times over. Taking that anew from the system,
    page by page, is a tenth of the processor time of a push. For a process that ends soon anyway.
    """
    import ctypes

    # Other C libraries have no such call, and other habits.
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM, _KEPT_BYTES)
        library.mallopt(_MMAP, _LARGEST_BYTES)
