"""The `dits` command, which is `python -m dits_client`, too."""

import gc
import os
import sys

# The exit code of a command that Ctrl-C ends.
INTERRUPTED = 130


def main() -> int:
    """Return the exit code of the command; also while its modules are loaded, Ctrl-C is no error."""
    # gRPC would write what the command says better, with the lines of its source, to the terminal.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from dits_client.cli.main import main as run_command

        return run_command()
    except KeyboardInterrupt:
        sys.stderr.write("dits: interrupted\n")
        return INTERRUPTED
    finally:
        # Else the interpreter would look through everything once more, when it ends.
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
