"""The arguments of `dits tier`."""

from argparse import ArgumentParser

from dits_client.cli.arguments import Commands, add_command


def add_tier_commands(commands: Commands) -> None:
    """Add the commands to those of `dits`."""
    text = "Tell what is archived, and bring it back."
    group = commands.add_parser("tier", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    _add(inner, "check", "Tell whether all of a revision can be read at once.")
    text = "Make what is archived readable for a while. That takes hours."
    restore = _add(inner, "restore", text)
    restore.add_argument("-n", "--dry-run", action="store_true", help="tell only what it would do")
    restore.add_argument("--wait", action="store_true", help="until it can be read")
    text = "Make what is in a revision colder, or hot again; for administrators of the repository."
    setting = _add(inner, "set", text)
    setting.add_argument("--wait", action="store_true", help="until it is hot")
    setting.add_argument(
        "--class",
        dest="storage_class",
        required=True,
        choices=("standard", "infrequent", "glacier", "deep_archive"),
    )


def _add(inner: Commands, name: str, text: str) -> ArgumentParser:
    command = add_command(inner, name, "tier", text)
    command.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files, directories, from the current folder; default: all",
    )
    command.add_argument(
        "--repository", default="", metavar="OWNER/NAME", help="default: that of the folder"
    )
    command.add_argument(
        "--revision", default="", help="branch, tag or commit; default: the folder's branch"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    return command
