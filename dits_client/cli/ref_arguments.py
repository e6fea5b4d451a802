"""The arguments of `dits branch`, `tag` and `protect`."""

from argparse import ArgumentParser

from dits_client.cli.arguments import Commands, add_command


def add_ref_commands(commands: Commands) -> None:
    """Add the commands."""
    _add_branch_commands(
        _add_group(commands, "branch", "List, create, rename and delete branches.")
    )
    _add_tag_commands(_add_group(commands, "tag", "List, create, show and delete tags."))
    _add_protect_commands(
        _add_group(commands, "protect", "Say who may move branches and tags, and how.")
    )


def _add_group(commands: Commands, name: str, text: str) -> Commands:
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(metavar="COMMAND", required=True)


def _add_branch_commands(inner: Commands) -> None:
    listing = _add_list(
        inner, "branch", "List branches, with how far they are from the default branch."
    )
    create = _add(inner, "create", "branch", "Create a branch.")
    create.add_argument("name")
    _add_revision(create)
    rename = _add(inner, "rename", "branch", "Give a branch another name.")
    rename.add_argument("name")
    rename.add_argument("new_name")
    delete = _add(inner, "delete", "branch", "Delete a branch.")
    _add_deleted(delete)
    for command in (listing, rename, delete):
        command.set_defaults(revision="")


def _add_tag_commands(inner: Commands) -> None:
    listing = _add_list(inner, "tag", "List tags.")
    create = _add(inner, "create", "tag", "Create a tag.")
    create.add_argument("name")
    create.add_argument("-m", "--message", default="", help="makes it an annotated tag")
    add_signing_options(create)
    _add_revision(create)
    show = _add(inner, "show", "tag", "Show a tag.")
    show.add_argument("name")
    show.add_argument("--json", action="store_true", help="print JSON")
    delete = _add(inner, "delete", "tag", "Delete a tag.")
    _add_deleted(delete)
    for command in (listing, show, delete):
        command.set_defaults(revision="")


def _add_protect_commands(inner: Commands) -> None:
    show = _add(inner, "show", "protect", "Show what protects a branch.")
    change = _add(
        inner, "set", "protect", "Replace what protects a branch, or all that a pattern names."
    )
    change.add_argument("--no-force", action="store_true", help="it leaves no commits behind")
    change.add_argument("--no-delete", action="store_true", help="it is not deleted or renamed")
    change.add_argument("--admins-only", action="store_true", help="administrators alone move it")
    change.add_argument("--signed", action="store_true", help="new commits have good signatures")
    change.add_argument("--linear", action="store_true", help="new commits are no merges")
    change.add_argument(
        "--restrict",
        action="append",
        default=[],
        metavar="PATTERN",
        help="paths, as in a .gitignore, that only those of --allow change; may be repeated",
    )
    _add_members(change, "--allow", "who may change these paths")
    _add_members(change, "--bypass", "to whom none of this applies")
    clear = _add(
        inner, "clear", "protect", "Remove what protects a branch, or what a pattern names."
    )
    show.add_argument("branch", nargs="?", default="", help="default: that of the folder")
    for command in (change, clear):
        command.add_argument(
            "branch",
            nargs="?",
            default="",
            help="or a pattern like release/*, for branches to come, too; default: that of the folder",
        )
    rules = _add(inner, "rules", "protect", "Show the patterns of branches that are protected.")
    tags = _add(inner, "tags", "protect", "Show what protects tags, or replace it.")
    tags.add_argument("patterns", nargs="*", metavar="PATTERN", help="names that are protected: v*")
    tags.add_argument("--clear", action="store_true", help="remove it")
    _add_members(tags, "--allow", "who may change them, besides administrators")
    for command in (show, change, clear, rules, tags):
        command.set_defaults(revision="")


def add_signing_options(command: ArgumentParser) -> None:
    """Add the options of a command that signs."""
    command.add_argument("--sign", action="store_true", help="sign it with an SSH key")
    command.add_argument(
        "--key", metavar="FILE", help="that key; default: the first of your account"
    )


def _add(inner: Commands, name: str, module: str, text: str) -> ArgumentParser:
    command = add_command(inner, name, module, text)
    command.add_argument("--repository", help="default: the repository that the folder follows")
    return command


def _add_list(inner: Commands, module: str, text: str) -> ArgumentParser:
    listing = _add(inner, "list", module, text)
    listing.add_argument("--prefix", default="", help="only names that begin so")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    return listing


def _add_deleted(delete: ArgumentParser) -> None:
    delete.add_argument("name")
    delete.add_argument("--dry-run", action="store_true", help="only say what would be left")


def _add_revision(command: ArgumentParser) -> None:
    command.add_argument(
        "--revision", default="", help="branch, tag or commit; default: the folder's"
    )


def _add_members(command: ArgumentParser, option: str, text: str) -> None:
    command.add_argument(
        option,
        action="append",
        default=[],
        metavar="NAME",
        help=f"{text}: a user, or organisation/team; may be repeated",
    )
