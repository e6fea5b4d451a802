"""The arguments of `dits repo`."""

from argparse import ArgumentParser, BooleanOptionalAction

from dits_client.cli.arguments import Commands, add_command, parse_bytes, parse_count, parse_days

_VISIBILITIES = ("private", "internal", "public")


def add_repo_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Manage repositories: their rules, who may use them, and where they are."
    group = commands.add_parser(
        "repo",
        help=text,
        description=f"{text} What changes something asks for your password, unless DITS_TOKEN may do it.",
    )
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    create = add_command(inner, "create", "repository", "Create a repository.")
    create.add_argument("name", help="name, or owner/name")
    create.add_argument("--description", default="")
    create.add_argument("--visibility", choices=_VISIBILITIES)
    create.add_argument("--default-branch", default="", help="default: main")
    create.add_argument(
        "--no-require-lock", action="store_true", help="allow changes of files without a lock"
    )
    listing = add_command(inner, "list", "repository", "List the repositories you may use.")
    listing.add_argument("--owner", default="", help="only those of this user or organisation")
    _add_admin_commands(inner)
    _add_rule_commands(inner)
    _add_grant_commands(inner)


def _add_admin_commands(inner: Commands) -> None:
    module = "repository_admin"
    show = _add(inner, "show", module, "Show a repository.")
    show.add_argument("--json", action="store_true", help="print JSON")
    update = _add(inner, "update", module, "Change a repository.")
    update.add_argument("--description")
    update.add_argument("--visibility", choices=_VISIBILITIES)
    update.add_argument("--default-branch")
    update.add_argument(
        "--archived",
        action=BooleanOptionalAction,
        default=None,
        help="keep it read-only, or no more",
    )
    rename = _add(inner, "rename", module, "Give a repository another name.")
    rename.add_argument("name", help="the old name leads to it for 30 days")
    transfer = _add(
        inner, "transfer", module, "Give a repository to another owner, who accepts it."
    )
    transfer.add_argument(
        "new_owner", metavar="NEW_OWNER", nargs="?", default="", help="a user or an organisation"
    )
    answer = transfer.add_mutually_exclusive_group()
    answer.add_argument(
        "--accept", action="store_true", help="take it over, for yourself or for NEW_OWNER"
    )
    answer.add_argument(
        "--cancel", action="store_true", help="end your request, or one to NEW_OWNER"
    )
    delete = _add(
        inner, "delete", module, "Delete a repository; for 30 days it can be brought back."
    )
    delete.add_argument("--dry-run", action="store_true", help="only say whether it could be")
    text = "Bring a deleted repository back; without one, list those that can be."
    undelete = add_command(inner, "undelete", module, text)
    undelete.add_argument("repository", metavar="ID", nargs="?", default="")
    undelete.add_argument("--name", default="", help="if its own is taken")
    undelete.add_argument("--owner", default="", help="list those of this user or organisation")
    stats = _add(inner, "stats", module, "Show how much is in a repository.")
    stats.add_argument("--json", action="store_true", help="print JSON")


def _add_rule_commands(inner: Commands) -> None:
    settings = _add(
        inner, "settings", "repository_settings", "Show or change the rules for pushes."
    )
    settings.add_argument("--json", action="store_true", help="print JSON")
    for name, text in (
        ("require-lock-for-edit", "files are changed under a lock"),
        ("portable-names", "names must be possible on Windows and macOS"),
    ):
        settings.add_argument(f"--{name}", action=BooleanOptionalAction, default=None, help=text)
    _add_number_options(settings)
    for name, metavar, text in (
        ("--regions", "REGION", 'where its chunks lie; "" = where they were uploaded to'),
        ("--allowed-extensions", "EXTENSION", 'the only endings of file names; "" = all'),
        ("--lock-patterns", "PATTERN", 'which files need a lock, as in .gitignore; "" = all'),
        ("--on-demand-patterns", "PATTERN", 'which files wait for `dits fetch`; "" = none'),
    ):
        settings.add_argument(name, nargs="+", metavar=metavar, help=text)
    settings.add_argument(
        "--default-lifecycle", action="store_true", help="move chunks after 30, 90 and 365 days"
    )


def _add_number_options(settings: ArgumentParser) -> None:
    settings.add_argument(
        "--max-file-size",
        dest="max_file_size_bytes",
        type=parse_bytes,
        metavar="BYTES",
        help="0 = any",
    )
    settings.add_argument(
        "--max-storage",
        dest="max_storage_bytes",
        type=parse_bytes,
        metavar="BYTES",
        help="0 = the owner's",
    )
    for name, metavar, text in (
        ("--min-regions", "COUNT", "in how many regions chunks lie before a push succeeds"),
        ("--replication-seconds", "SECONDS", "how long after an upload copies begin"),
    ):
        settings.add_argument(name, type=parse_count, metavar=metavar, help=text)
    text = "move chunks there that were not read for so long; 0 = never; sets all three"
    for name in ("infrequent", "glacier", "deep-archive"):
        settings.add_argument(f"--{name}-days", type=parse_days, metavar="DAYS", help=text)


def _add_grant_commands(inner: Commands) -> None:
    module = "repository_grants"
    grant = _add(inner, "grant", module, "Give a user or a team a right.")
    revoke = _add(inner, "revoke", module, "Take back what a user or a team was given.")
    for command in (grant, revoke):
        command.add_argument(
            "grantee", metavar="NAME", help="of the user, or with --team of the team"
        )
    grant.add_argument("permission", choices=("read", "write", "admin"))
    for command in (grant, revoke):
        command.add_argument("--team", action="store_true")
    grants = _add(inner, "grants", module, "List what users and teams were given.")
    grants.add_argument("--json", action="store_true", help="print a line of JSON for each")


def _add(inner: Commands, name: str, module: str, text: str) -> ArgumentParser:
    """Add a command about one repository."""
    command = add_command(inner, name, module, text)
    command.add_argument("repository", metavar="OWNER/NAME")
    return command
