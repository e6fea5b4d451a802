"""`python -m dits_client` is the `dits` command."""

import sys

from dits_client.cli.main import main

sys.exit(main())
