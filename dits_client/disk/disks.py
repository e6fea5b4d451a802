"""The disk that the client works on."""

import sys

from dits_client.disk.directory import Disk

if sys.platform == "win32":
    from dits_client.disk.paths import PathDisk as _SystemDisk
else:
    from dits_client.disk.descriptors import DescriptorDisk as _SystemDisk

# Tests put another system's here.
CURRENT: Disk = _SystemDisk()


def get_disk() -> Disk:
    """Return how this system touches files."""
    return CURRENT
