"""The `dits` command: it runs a subcommand and reports a failure in one sentence."""

import errno
import gc
import os
import signal
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from dits_client.cli.answers import print_answers
from dits_client.cli.grammar import find_commands
from dits_client.cli.parser import make_parser
from dits_client.errors import ClientError, UsageError
from dits_client.progress import show_notices
from dits_client.terminal import escape_lines, make_streams_safe, quote_text

# The exit code is so much more than the number of the signal that ended the command.
SIGNALLED = 128
# A command makes millions of objects for a large folder, and few cycles among them: to look for those as
# often as Python does takes an eighth of the processor time of a push of 46,000 files.
GC_THRESHOLDS = (200_000, 50, 50)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command: 0 = done, 1 = failed, 2 = not understood, 3 = done in part."""
    gc.set_threshold(*GC_THRESHOLDS)
    make_streams_safe()
    line = sys.argv[1:] if arguments is None else arguments
    parser = make_parser(line)
    _check_command(parser, line)
    parsed = parser.parse_args(line)
    _end_by_signals()
    try:
        _check_encoding(parsed)
        if not getattr(parsed, "quiet", False):
            show_notices()
        handle = _load_handler(parsed.module, parsed.function)
        if parsed.json and getattr(parsed, "print_answers", False):
            print_answers(handle, parsed)
        else:
            handle(parsed)
        sys.stdout.flush()
    except ClientError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt as interrupt:
        # What has no end of its own is ended so.
        if not getattr(parsed, "watch", parsed.module == "watch"):
            _fail("interrupted")
        return SIGNALLED + getattr(interrupt, "number", signal.SIGINT)
    except OSError as error:
        if _is_broken_pipe(error):
            # The reader of the output has gone: nothing more can be written, not even at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ClientError.exit_code
        where = f" {quote_text(error.filename)}" if error.filename else ""
        return _fail(f"{(error.strerror or str(error)).lower()}{where}")
    return 0


def _check_command(parser: ArgumentParser, line: Sequence[str]) -> None:
    """End with code 2 and the nearest name where a word of the line is no command."""
    for word in line:
        commands = find_commands(parser)
        if not commands or word.startswith("-"):
            return
        if word not in commands:
            name = f"{parser.prog} {word}"
            from dits_client.nearest import suggest

            parser.error(f"there is no command {quote_text(name)}{suggest(word, list(commands))}")
        parser = commands[word]


def _is_broken_pipe(error: OSError) -> bool:
    is_invalid = error.errno == errno.EINVAL and not error.filename
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and is_invalid)


class _Ended(KeyboardInterrupt):
    """A signal ends the command, which gives back what it took."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _end_by_signals() -> None:
    """Let the signals that end a program end it as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        # Who ignores the signal, as nohup does, meant that.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _: object) -> None:
    # Not once more, while the command gives back what it took.
    signal.signal(number, signal.SIG_IGN)
    raise _Ended(number)


def _check_encoding(arguments: Namespace) -> None:
    """Raise UsageError for text that is not UTF-8; a folder may have any name."""
    for name, value in vars(arguments).items():
        for text in _iterate_texts(value):
            if name != "folder" and not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise UsageError(f"the argument {text!a} is not UTF-8") from None


def _iterate_texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _iterate_texts(each)


def _load_handler(module: str, function: str) -> Callable[[Namespace], None]:
    """Return a handler; only the modules that its command needs are loaded."""
    handler: Callable[[Namespace], None] = getattr(
        import_module(f"dits_client.cli.{module}"), function
    )
    return handler


def _fail(message: str, code: int = ClientError.exit_code) -> int:
    print(f"dits: {escape_lines(message)}", file=sys.stderr)
    return code
