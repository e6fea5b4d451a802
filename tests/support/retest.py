"""`make retest`: runs once more what failed in the last run of the tests, one test at a time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """Returns the exit code; 1 if no test is known to have failed, for then something else has."""
    failed = sorted(json.loads(_FAILED.read_text())) if _FAILED.exists() else []
    if not failed:
        sys.stderr.write("no test is known to have failed: there is nothing to run once more\n")
        return 1
    return int(pytest.main(["-n", "0", *failed]))


if __name__ == "__main__":
    sys.exit(main())
