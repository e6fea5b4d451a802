"""`dits man`: the man page, made from the parser."""

import re
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator

from dits_client.cli.grammar import iterate_commands, list_actions
from dits_client.cli.parser import make_parser

_EXIT_CODES = {
    "0": "done",
    "1": "not done, and stderr says why",
    "2": "the arguments are wrong, and nothing happened",
    "3": "done, except for the names that cannot be stored, which stderr lists",
    "128 + n": "ended by signal n",
}
# A name or several, on the line of the text or above it.
_VARIABLE = re.compile(r"^  ([A-Z_]+(?:, [A-Z_]+)*)\s+(.+)$", re.MULTILINE)


def handle_man(_: Namespace) -> None:
    """Print the man page."""
    print("\n".join(_write_page(make_parser())))


def _write_page(parser: ArgumentParser) -> Iterator[str]:
    yield '.TH DITS 1 "" "dits" "User commands"'
    yield f".SH NAME\ndits \\- {_escape(parser.description or '')}"
    yield ".SH SYNOPSIS\n.B dits\n.I COMMAND\n[\\fIARGUMENT\\fR ...]"
    yield ".SH COMMANDS"
    for path, command in iterate_commands(parser):
        yield f".SS {_escape(' '.join(('dits', *path, *map(_name_argument, _positionals(command)))))}"
        yield _escape(command.description or "")
        for action in list_actions(command):
            text = action.help or ", ".join(map(str, action.choices or ()))
            if action.dest != "help" and (text or action.option_strings):
                yield f".TP\n.B {_escape(_name_argument(action))}"
                yield from filter(None, [_escape(text)])
    yield ".SH ENVIRONMENT"
    for names, text in _VARIABLE.findall(parser.epilog or ""):
        yield f".TP\n.B {_escape(names)}\n{_escape(text)}"
    yield ".SH EXIT STATUS"
    for code, text in _EXIT_CODES.items():
        yield f".TP\n.B {code}\n{_escape(text)}"


def _positionals(command: ArgumentParser) -> list[Action]:
    return [action for action in list_actions(command) if not action.option_strings]


def _name_argument(action: Action) -> str:
    """Return an argument as the user types it."""
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.option_strings:
        words = ", ".join(action.option_strings)
        return words if action.nargs == 0 else f"{words} {_name_value(action)}"
    optional, many = action.nargs in ("?", "*"), action.nargs in ("+", "*")
    name = f"{name}..." if many else name
    return f"[{name}]" if optional else name


def _name_value(action: Action) -> str:
    if action.choices:
        return "|".join(map(str, action.choices))
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()


def _escape(text: str) -> str:
    """Return text as troff takes it literally."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("%%", "%")
    text = "".join(sign if sign.isascii() else f"\\[u{ord(sign):04X}]" for sign in text)
    return f"\\&{text}" if text.startswith((".", "'")) else text
