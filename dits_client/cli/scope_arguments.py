"""The arguments of `dits include`, `exclude` and `fetch`, and how deep `dits clone` goes."""

from argparse import ArgumentParser, ArgumentTypeError

from dits_client.cli.arguments import Commands, add_command, parse_count
from dits_client.terminal import quote_text


def add_scope_commands(commands: Commands) -> None:
    """Add the commands that say which parts of its commit a folder has."""
    text = "Bring paths of the repository into the folder, if it has only parts of it."
    include = add_command(commands, "include", "scope", text)
    include.add_argument("paths", nargs="*", metavar="PATH")
    include.add_argument("--all", action="store_true", help="everything")
    add_depth_option(include)
    text = "Remove paths from the folder, and keep them in the repository."
    exclude = add_command(commands, "exclude", "scope", text)
    exclude.add_argument("paths", nargs="+", metavar="PATH")
    text = "Bring files into the folder that wait until somebody asks for them."
    fetch = add_command(commands, "fetch", "scope", text)
    fetch.add_argument("paths", nargs="+", metavar="PATH", help=". at the top = everything")
    for command in (include, exclude, fetch):
        command.add_argument("--json", action="store_true", help="print a summary as JSON")
        command.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def add_depth_option(parser: ArgumentParser, where: str = "") -> None:
    """Add the option that says how many levels of folders are included."""
    parser.add_argument(
        "--depth",
        type=_parse_depth,
        metavar="N",
        help=f"{where}leave out folders that are deeper; 1 = just the files of PATH itself",
    )


def _parse_depth(text: str) -> int:
    if not (levels := parse_count(text)):
        raise ArgumentTypeError(f"{quote_text(text)} is not a number of levels: 1, 2, …")
    return levels
