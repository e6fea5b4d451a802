"""Both ways of the client to touch files, each on any system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dits_client.disk import disks
from dits_client.disk.descriptors import DescriptorDisk
from dits_client.disk.directory import Disk
from dits_client.disk.paths import PathDisk

# That of this system, and that of Windows.
BOTH = pytest.mark.parametrize("disk", [DescriptorDisk(), PathDisk()], ids=["descriptors", "paths"])


@contextmanager
def use_disk(disk: Disk) -> Iterator[None]:
    """Let the client of this process touch files in another way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disks, "CURRENT", disk)
        yield
