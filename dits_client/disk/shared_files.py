"""Files of Windows, opened so that others may rename and remove them meanwhile, as they do to save."""

import ctypes
import msvcrt
import os
import sys
from ctypes import wintypes

# Type checkers pass over the rest for other systems, which do so without being asked.
assert sys.platform == "win32"  # noqa: S101

_READ = 0x80000000
_SHARE_ALL = 0x1 | 0x2 | 0x4
_OPEN_EXISTING = 3
_INVALID = ctypes.c_void_p(-1).value

_create_file = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
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


def open_shared(path: str) -> int:
    """Return the descriptor of a file for reading. Raises OSError."""
    handle = _create_file(path, _READ, _SHARE_ALL, None, _OPEN_EXISTING, 0, None)
    if handle == _INVALID:
        number = ctypes.get_last_error()
        raise OSError(None, ctypes.FormatError(number), path, number)
    return msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY)
