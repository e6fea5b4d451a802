"""What `dits-server` loads before it knows what to do: operators run it for one question."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, services.cli
print([name for name in sys.modules if name.startswith("services.") and name.endswith(".server")])
"""


def test_no_service_is_loaded_before_one_is_to_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
