"""What a disk can store and tell apart: systems and file systems differ.

Code that depends on it takes a `Platform`, so that the tests run it with another system's.
"""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Platform:
    """The names that a folder's disk can have."""

    # Names that differ by the case of letters alone are one file, as usually on macOS and Windows.
    folds_case: bool = False
    # Names of devices (CON, NUL), some characters, and a dot or space at the end are refused.
    reserves_names: bool = False


POSIX = Platform()
MACOS = Platform(folds_case=True)
WINDOWS = Platform(folds_case=True, reserves_names=True)


def probe_platform(existing: Path) -> Platform:
    """Return what the disk of a file or directory, whose name has letters, can do."""
    name = existing.name
    return Platform(
        folds_case=existing.with_name(name.swapcase()).exists(),
        reserves_names=sys.platform == "win32",
    )
