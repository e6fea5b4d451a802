"""The commands and arguments of a parser, for what is generated from it."""

from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator


def list_actions(parser: ArgumentParser) -> list[Action]:
    """Return the arguments of a command, options first as the parser has them."""
    # There is no public way to ask.
    return [a for a in parser._actions if not isinstance(a, _SubParsersAction)]  # noqa: SLF001


def find_commands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """Return the commands inside a command by name; none if it has none."""
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}


def iterate_commands(
    parser: ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], ArgumentParser]]:
    """Yield the words and the parser of each command that does something."""
    inner = find_commands(parser)
    if not inner:
        yield path, parser
    for name, command in inner.items():
        yield from iterate_commands(command, (*path, name))
