"""Settings of the C library's allocator."""

from __future__ import annotations

import ctypes

# From malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_freed_memory() -> None:
    """Makes glibc keep up to 256 MiB of freed memory for the next allocations; elsewhere, does nothing.

    Each message of 1 MiB is allocated a few times on its way through gRPC. By default that memory
    comes from the kernel each time, page by page and zeroed: a fifth to a third of the CPU time of
    uploads and downloads. The client has a function like this one: it must not import services, and
    may keep more, because its process ends soon.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)
