"""The `dits` command: it runs a subcommand and reports a failure in one sentence."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib import import_module

from dits_client.cli.parser import make_parser
from dits_client.errors import ClientError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command: 0 = done, 1 = failed, 2 = not understood."""
    parsed = make_parser().parse_args(arguments)
    try:
        _check_encoding(parsed)
        _load_handler(parsed.module, parsed.function)(parsed)
        sys.stdout.flush()
    except ClientError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has gone: nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f' "{error.filename}"' if error.filename else ""
        return _fail(f"{(error.strerror or str(error)).lower()}{where}")
    return 0


def _check_encoding(arguments: Namespace) -> None:
    """Raise ClientError for text that is not UTF-8; a folder may have any name."""
    for name, value in vars(arguments).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and name != "folder" and not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise ClientError(f"the argument {text!a} is not UTF-8") from None


def _load_handler(module: str, function: str) -> Callable[[Namespace], None]:
    """Return a handler; only the modules that its command needs are loaded."""
    handler: Callable[[Namespace], None] = getattr(
        import_module(f"dits_client.cli.{module}"), function
    )
    return handler


def _fail(message: str) -> int:
    print(f"dits: {message}", file=sys.stderr)
    return 1
