"""Only one package of the client touches directories and asks which system it is on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "dits_client"
# What systems do in their own ways.
OF_SYSTEMS = re.compile(
    r"\bdir_fd\b|\bO_[A-Z]{3,}|\bfcntl\b|\bos\.(fchmod|fsync|fwalk|open|pread|preadv|readlink|readv|rename|"
    r"replace|rmdir|scandir|stat|symlink|sync|unlink|walk)\(|read_text\(\)|write_text\([^)]*\bline\)"
)
# Files by the lines of theirs that may have such a thing.
ALLOWED = {
    "checkout/local_copy.py": "fcntl",
    "cli/folder_checks.py": "os.walk(root)",
    "cli/main.py": "os.devnull",
    "__init__.py": "write_text",
}


def list_files() -> list[str]:
    found = (path.relative_to(CLIENT).as_posix() for path in CLIENT.rglob("*.py"))
    return sorted(path for path in found if not path.startswith("disk/"))


@pytest.mark.parametrize("path", list_files())
def test_it_goes_through_the_disk(path: str) -> None:
    allowed = ALLOWED.get(path)
    lines = (CLIENT / path).read_text().splitlines()
    found = [line for line in lines if OF_SYSTEMS.search(line)]
    assert [line for line in found if allowed is None or allowed not in line] == []
