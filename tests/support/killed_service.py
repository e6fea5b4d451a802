"""A service in a process of its own that kills itself at a step: see tests.support.failpoints.

    python -m tests.support.killed_service STEP ARGUMENTS…

Files count in the folder `DITS_DATA_DIR` and beside it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from services.cli import main
from tests.support.failpoints import Failpoint

if __name__ == "__main__":
    root = Path(os.environ["DITS_DATA_DIR"]).parent
    Failpoint(int(sys.argv.pop(1)), str(root), every=False).arm()
    main()
