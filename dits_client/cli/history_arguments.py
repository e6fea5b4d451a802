"""The arguments of `dits log`, `ls`, `diff`, `show`, `switch`, `merge`, `restore` and `obliterate`."""

from dits_client.cli.arguments import Commands, add_command, parse_count, parse_time

_REVISION = "a branch, a tag, or a commit"
# What a path is that need not be on the disk.
_PATH = "a path from the current folder; with --repository, from the top of the repository"


def add_history_commands(commands: Commands) -> None:
    """Add the commands that read and join histories."""
    _add_log_command(commands)
    ls = add_command(commands, "ls", "repository", "List a directory on the server.")
    ls.add_argument("path", nargs="?", default="", help=f"{_PATH}; default: the current one")
    ls.add_argument("--revision", default="", help=_REVISION)
    diff = add_command(commands, "diff", "diff", "List what differs between two revisions.")
    diff.add_argument(
        "base",
        nargs="?",
        default="",
        help=f"{_REVISION}; default: what the folder's next push would bring",
    )
    diff.add_argument(
        "revision", metavar="head", nargs="?", default="", help="default: the folder's branch"
    )
    diff.add_argument("--path", default="", help=f"only what is there and below: {_PATH}")
    show = add_command(commands, "show", "history", "Show a commit and what it changed.")
    show.add_argument("revision", nargs="?", default="", help="default: the folder's branch")
    for command in (ls, diff):
        command.add_argument("--json", action="store_true", help="print lines of JSON")
    show.add_argument("--json", action="store_true", help="print the commit as JSON")
    for command in (diff, show):
        command.add_argument(
            "--new-bytes", action="store_true", help="count the bytes that are really new"
        )
    for command in (ls, diff, show):
        command.add_argument("--repository", help="default: the repository that the folder follows")
    _add_switch_command(commands)
    _add_shelf_commands(commands)
    _add_undo_commands(commands)
    _add_merge_command(commands)
    _add_restore_command(commands)
    _add_obliterate_commands(commands)


def _add_switch_command(commands: Commands) -> None:
    text = "Bring the folder to another branch; local changes stay, or prevent it."
    switch = add_command(commands, "switch", "folder", text)
    switch.add_argument("branch", nargs="?", default="")
    switch.add_argument(
        "start", nargs="?", default="", help=f"{_REVISION}, for --create; default: the folder's"
    )
    switch.add_argument("-c", "--create", action="store_true", help="make the branch first")
    switch.add_argument(
        "--continue", dest="resume", action="store_true", help="complete an interrupted switch"
    )
    switch.add_argument(
        "--force",
        action="store_true",
        help="overwrite local changes, and bring back missing files; new files stay",
    )
    switch.add_argument("--json", action="store_true", help="print a summary as JSON")
    switch.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _add_log_command(commands: Commands) -> None:
    log = add_command(commands, "log", "history", "List commits, newest first.")
    text = f"list only commits that changed it: {_PATH}"
    log.add_argument("path", nargs="?", default="", help=text)
    log.add_argument(
        "-n", "--limit", type=parse_count, default=20, help="the most commits to list; default 20"
    )
    log.add_argument("--author", default="", help="only where `name <email>` contains this text")
    for name, text in (("since", "at this time or later"), ("until", "before this time")):
        log.add_argument(
            f"--{name}",
            type=parse_time,
            metavar="TIME",
            help=f"committed {text}: 2026-11-26[T15:40]",
        )
    log.add_argument(
        "--not",
        dest="not_in",
        action="append",
        default=[],
        metavar="REVISION",
        help="leave out the commits of this revision; may be repeated",
    )
    log.add_argument("--revision", default="", help=_REVISION)
    form = log.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a line of JSON for each")
    text = "draw which is a parent of which; without a path and --author"
    form.add_argument("--graph", action="store_true", help=text)
    log.add_argument("--repository", help="default: the repository that the folder follows")


def _add_shelf_commands(commands: Commands) -> None:
    shelve = add_command(
        commands, "shelve", "shelves", "Put the folder's changes aside, on the server."
    )
    shelve.add_argument("name", nargs="?", default="", help="of the shelf; default: a number")
    shelve.add_argument("-m", "--message", default="")
    unshelve = add_command(commands, "unshelve", "shelves", "Bring back what is on a shelf.")
    unshelve.add_argument("name", help="of the shelf; those of others: USER/NAME")
    unshelve.add_argument("--keep", action="store_true", help="keep the shelf")
    for command in (shelve, unshelve):
        command.add_argument("--json", action="store_true", help="print a summary as JSON")
        command.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    shelves = add_command(commands, "shelves", "shelves", "List the shelves of the repository.")
    shelves.add_argument("--json", action="store_true", help="print a line of JSON for each")


def _add_undo_commands(commands: Commands) -> None:
    text = "Push a commit that takes back what a commit changed."
    undo = add_command(commands, "undo", "undo", text)
    undo.add_argument("revision", nargs="?", default="", help="default: the folder's commit")
    undo.add_argument(
        "--force", action="store_true", help="also the first commit: all that it brought is removed"
    )
    get = add_command(commands, "get", "undo", "Write a file of any revision somewhere else.")
    get.add_argument("file", metavar="PATH[@REVISION]", help=_PATH)
    get.add_argument(
        "-o", "--output", default="", help="a new file; default: its name, here; -: stdout"
    )
    get.add_argument("--revision", default="", help=f"{_REVISION}; default: that of the folder")
    get.add_argument("--repository", help="default: the repository that the folder follows")
    for command in (undo, get):
        command.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    undo.add_argument("--json", action="store_true", help="print a summary as JSON")


def _add_merge_command(commands: Commands) -> None:
    text = "Merge a branch into that of the folder, by path, on the server; then pull."
    merge = add_command(commands, "merge", "merge", text)
    merge.add_argument("source", help=_REVISION)
    merge.add_argument("--into", default="", metavar="BRANCH", help="default: that of the folder")
    merge.add_argument("-m", "--message", default="")
    merge.add_argument(
        "--ours", action="append", default=[], metavar="PATH",
        help="keep the version of the branch that is merged into; may be repeated",
    )  # fmt: skip
    merge.add_argument(
        "--theirs", action="append", default=[], metavar="PATH",
        help="take the version of the source; may be repeated",
    )  # fmt: skip
    merge.add_argument(
        "--all-others", choices=("ours", "theirs"), help="which to take of all other conflicts"
    )
    merge.add_argument("--no-ff", action="store_true", help="make a commit in any case")
    merge.add_argument(
        "--allow-unrelated", action="store_true", help="merge histories with nothing in common"
    )
    merge.add_argument("--json", action="store_true", help="print what it came to as JSON")
    merge.add_argument("--dry-run", action="store_true", help="list the conflicts, change nothing")


def _add_restore_command(commands: Commands) -> None:
    text = "Bring files back into the folder, as a revision has them."
    restore = add_command(commands, "restore", "merge", text)
    restore.add_argument("paths", nargs="+", metavar="PATH")
    restore.add_argument(
        "--revision", default="", help=f"{_REVISION}; default: the commit of the folder"
    )
    restore.add_argument("--force", action="store_true", help="overwrite local changes")
    restore.add_argument("--json", action="store_true", help="print a summary as JSON")
    restore.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _add_obliterate_commands(commands: Commands) -> None:
    text = "Remove the content of a file from every version, on the server, for good."
    group = commands.add_parser("obliterate", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    remove = add_command(inner, "remove", "obliterate", text)
    text = "Give a content back to all versions, from a file that has it."
    lift = add_command(inner, "lift", "obliterate", text)
    listing = add_command(inner, "list", "obliterate", "List what was removed, and why.")
    for command in (remove, lift):
        command.add_argument("path", help=f"a file that has the content: {_PATH}")
        command.add_argument("--revision", default="", help=f"{_REVISION} that has the path")
    remove.add_argument("--reason", default="", help="why; all who can read the repository see it")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    lift.add_argument("file", help="a file with that content")
    listing.set_defaults(revision="")
    for command in (remove, listing):
        command.add_argument("--json", action="store_true", help="print lines of JSON")
    for command in (remove, lift, listing):
        command.add_argument("--repository", help="default: the repository that the folder follows")
