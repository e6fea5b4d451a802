"""Files of Windows, opened so that others may rename and remove them meanwhile, as they do to save."""

import ctypes
import msvcrt
import os
import sys
from ctypes import wintypes

# Type checkers pass over the rest for other systems, which do so without being asked.
assert sys.platform == "win32"  # noqa: S101

_READ, _DELETE = 0x80000000, 0x00010000
_SHARING_VIOLATION = 32
# Lets directories and links be opened themselves.
_AS_IT_IS = 0x02000000 | 0x00200000
_SHARE_ALL = 0x1 | 0x2 | 0x4
_OPEN_EXISTING = 3
_INVALID = ctypes.c_void_p(-1).value

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_create_file = _kernel.CreateFileW
_create_file.restype = wintypes.HANDLE
_create_file.argtypes = (
    wintypes.LPCWSTR,
    wintypes.DWORD,
    wintypes.DWORD,
    wintypes.LPVOID,
    wintypes.DWORD,
    wintypes.DWORD,
    wintypes.HANDLE,
)
_close_handle = _kernel.CloseHandle
_close_handle.argtypes = (wintypes.HANDLE,)


def open_shared(path: str) -> int:
    """Return the descriptor of a file for reading. Raises OSError."""
    handle = _create_file(path, _READ, _SHARE_ALL, None, _OPEN_EXISTING, 0, None)
    if handle == _INVALID:
        number = ctypes.get_last_error()
        raise OSError(None, ctypes.FormatError(number), path, number)
    return msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY)


def is_kept_open_at(path: str) -> bool:
    """Return whether a program has a file open and does not let others remove it."""
    handle = _create_file(path, _DELETE, _SHARE_ALL, None, _OPEN_EXISTING, _AS_IT_IS, None)
    if handle == _INVALID:
        return ctypes.get_last_error() == _SHARING_VIOLATION
    _close_handle(handle)
    return False
