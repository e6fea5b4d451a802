"""The arguments of the `dits` command."""

from argparse import ArgumentError, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

from dits_client.cli.answers import add_json_option
from dits_client.cli.arguments import Commands, add_command, parse_count
from dits_client.cli.audit_arguments import add_audit_command
from dits_client.cli.grammar import find_commands, iterate_commands
from dits_client.cli.help_arguments import add_help_commands, add_version_option
from dits_client.cli.history_arguments import add_history_commands
from dits_client.cli.job_arguments import add_job_commands
from dits_client.cli.lock_arguments import add_lock_commands
from dits_client.cli.maintenance_arguments import add_maintenance_commands
from dits_client.cli.notification_arguments import add_notification_commands
from dits_client.cli.org_arguments import add_org_commands
from dits_client.cli.own_account_arguments import add_own_account_commands
from dits_client.cli.ref_arguments import add_ref_commands, add_signing_options
from dits_client.cli.repository_arguments import add_repo_commands
from dits_client.cli.scope_arguments import add_depth_option, add_scope_commands
from dits_client.cli.session_arguments import add_session_commands, add_token_commands
from dits_client.cli.ssh_key_arguments import add_ssh_key_commands
from dits_client.cli.team_arguments import add_team_commands
from dits_client.cli.tier_arguments import add_tier_commands
from dits_client.cli.usage_arguments import add_usage_command
from dits_client.cli.webhook_arguments import add_webhook_commands

_EPILOG = """\
environment:
  DITS_TOKEN             API token to use instead of a login; for DITS_SERVER only, if that is set
  DITS_SERVER            server to use outside of a dits folder
  DITS_USER              which of your accounts to use, if you have logged in to several
  DITS_PASSWORD          password for `dits login`, `dits sudo` and what needs sudo
  DITS_AUTH, DITS_REPO, DITS_CHUNK, DITS_LOCK
                         host:port of a service that is not at its usual port
  DITS_CONFIG_DIR        folder for the credentials
"""


def make_parser(line: Sequence[str] | None = None) -> ArgumentParser:
    """Return the parser; `module` and `function` of its result name the handler.

    If a line is given, only the commands that its words name have arguments: to describe those of all takes
    longer than many commands do.
    """
    parser = ArgumentParser(
        prog="dits",
        description="Version control for large media: push, pull, lock.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_version_option(parser)
    make: Any = ArgumentParser if line is None else partial(_make_command, frozenset(line))
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=make)
    _add_account_commands(commands)
    _add_sudo_command(commands)
    _add_repository_commands(commands)
    _add_folder_commands(commands)
    add_help_commands(commands)
    add_history_commands(commands)
    add_lock_commands(commands)
    _add_watch_command(commands)
    add_usage_command(commands)
    add_audit_command(commands)
    add_job_commands(commands)
    add_maintenance_commands(commands)
    add_notification_commands(commands)
    add_org_commands(commands)
    add_own_account_commands(commands)
    add_ref_commands(commands)
    add_session_commands(commands)
    add_ssh_key_commands(commands)
    add_team_commands(commands)
    add_tier_commands(commands)
    add_token_commands(commands)
    add_webhook_commands(commands)
    _add_json_options(parser)
    return parser


def _add_json_options(parser: ArgumentParser) -> None:
    for top in find_commands(parser).values():
        for _, command in iterate_commands(top) if isinstance(top, ArgumentParser) else ():
            # Of those that print JSON by themselves.
            with suppress(ArgumentError):
                add_json_option(command)


class _Unused:
    """Stands for the parser of a command that the line does not name, and for all that is added to it."""

    def __getattr__(self, name: str) -> Self:
        return self

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    def __iter__(self) -> Iterator[Self]:
        return iter(())


def _make_command(words: frozenset[str], *, prog: str, **options: Any) -> Any:
    is_named = prog.rpartition(" ")[2] in words
    return ArgumentParser(prog=prog, **options) if is_named else _Unused()


def _add_account_commands(commands: Commands) -> None:
    login = add_command(commands, "login", "account", "Log in to a server.")
    text = "host, http://host[:port], …; default: the one in use, or localhost"
    login.add_argument("server", nargs="?", default="", help=text)
    login.add_argument("-u", "--username", help="username or e-mail address")
    login.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    login.add_argument("--register", action="store_true", help="create the account first")
    login.add_argument("--email", help="e-mail address of the new account")
    login.add_argument("--ssh", action="store_true", help="log in with an SSH key")
    login.add_argument("--key", metavar="FILE", help="that key; default: the agent's, ~/.ssh/id_…")
    login.add_argument(
        "--session",
        action="store_true",
        help="keep a session, with all your rights, for at most 24 hours, instead of an API token",
    )
    login.add_argument("--token", action="store_true", help="store an API token read from stdin")
    for service in ("auth", "repo", "chunk", "lock"):
        login.add_argument(f"--{service}", metavar="HOST:PORT", help=f"the {service} service")
    logout = add_command(
        commands, "logout", "account", "Revoke the login's token and remove the login."
    )
    logout.add_argument("server", nargs="?", help="default: the current one")
    logout.add_argument(
        "-u", "--username", default="", help="of several accounts there; default: the current one"
    )
    text = "Show the current account, its server and credential."
    add_command(commands, "whoami", "account", text)


def _add_sudo_command(commands: Commands) -> None:
    text = "Prove who you are, so that dangerous commands ask for no password for ten minutes."
    sudo = add_command(commands, "sudo", "sudo", text)
    sudo.add_argument("--ssh", action="store_true", help="with an SSH key instead of a password")
    sudo.add_argument("--key", metavar="FILE", help="that key; default: the agent's, ~/.ssh/id_…")
    sudo.add_argument("--end", action="store_true", help="close the session that has sudo")


def _add_repository_commands(commands: Commands) -> None:
    add_repo_commands(commands)
    init = add_command(commands, "init", "repository", "Make a folder follow a repository.")
    init.add_argument("folder", nargs="?", default=".")
    init.add_argument("--repository", help="owner/name; default: your own with the folder's name")
    init.add_argument("--branch", default="", help="default: the repository's default branch")


def _add_folder_commands(commands: Commands) -> None:
    clone = _add_clone_command(commands)
    push = add_command(commands, "push", "folder", "Commit the state of the folder and push it.")
    push.add_argument("-m", "--message", default="")
    push.add_argument("--branch", default="", help="push to this branch and follow it")
    push.add_argument(
        "--force", action="store_true", help="remove other people's commits from the branch"
    )
    add_signing_options(push)
    pull = add_command(commands, "pull", "folder", "Bring the folder to the state of its branch.")
    pull.add_argument(
        "--force",
        action="store_true",
        help="overwrite local changes, and bring back missing files; new files stay",
    )
    text = "where the server has lost the folder's commit: files that are here stay as they are"
    pull.add_argument("--keep", action="store_true", help=text)
    pull.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="BRANCH",
        help="merge this branch into that of the folder first, on the server",
    )
    status = add_command(commands, "status", "folder", "Show what changed in the folder.")
    text = "Leave ignored files out of the next push; they stay in the folders of everyone."
    untrack = add_command(commands, "untrack", "folder", text)
    untrack.add_argument("paths", nargs="+", metavar="PATH")
    add_scope_commands(commands)
    _add_config_command(commands)
    for command in (clone, push, pull, status):
        command.add_argument("--json", action="store_true", help="print a summary as JSON")
        command.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def _add_clone_command(commands: Commands) -> ArgumentParser:
    clone = add_command(commands, "clone", "folder", "Fetch a repository into a new folder.")
    clone.add_argument("repository", help="owner/name")
    clone.add_argument("folder", nargs="?", help="default: the repository's name")
    clone.add_argument("--revision", default="", help="a branch, or the hash of a commit")
    clone.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="fetch only these paths of the repository; `dits include` adds others later",
    )
    add_depth_option(clone, "with --only: ")
    # The paths would take what follows them.
    what = "repository [folder] [--only PATH [PATH ...]] [--depth N]"
    clone.usage = f"%(prog)s [-h] [--revision REVISION] [--json] [-q]\n{' ' * 18}{what}"
    return clone


def _add_config_command(commands: Commands) -> None:
    text = "Show the settings of the folder and your own, or change one."
    config = add_command(commands, "config", "config", text)
    config.add_argument(
        "name",
        nargs="?",
        choices=("lock.readonly", "account", "credentials.store"),
        metavar="NAME",
        help="lock.readonly: files that need a lock, and are not locked by you, are read-only; account: "
        "yours that this folder is used with; credentials.store: where your logins are kept",
    )
    config.add_argument(
        "value",
        nargs="?",
        metavar="VALUE",
        help="true or false; a username, empty = the one chosen last; auto, keyring or file",
    )
    config.add_argument("--json", action="store_true", help="print the settings as JSON")


def _add_watch_command(commands: Commands) -> None:
    text = "Print what happens in repositories, as it happens; it goes on when the server was away."
    watch = add_command(commands, "watch", "watch", text)
    watch.add_argument(
        "patterns",
        nargs="*",
        metavar="PATTERN",
        help="push, lock.acquired, lock.*, …; default: all",
    )
    what = watch.add_mutually_exclusive_group()
    what.add_argument(
        "--repository", default="", help="default: the repository that the folder follows"
    )
    what.add_argument("--owner", default="", help="all that you may see of a user or organisation")
    what.add_argument("--all", action="store_true", help="all that you have a right on")
    watch.add_argument(
        "--json", action="store_true", help="print a line of JSON for each, with its cursor"
    )
    watch.add_argument("--cursor", default="", help="go on after the event that had this cursor")
    text = "end after so many events"
    watch.add_argument("-n", "--limit", type=parse_count, default=0, help=text)
