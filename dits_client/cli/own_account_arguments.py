"""The arguments of `dits account`."""

from dits_client.cli.arguments import Commands, add_command, parse_pair
from dits_client.cli.mfa_arguments import add_mfa_commands

_MODULE = "own_account"


def add_own_account_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Show, change and delete your account."
    group = commands.add_parser(
        "account",
        help=text,
        description=f"{text} What changes something asks for your password, unless DITS_TOKEN may do it.",
    )
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    show = add_command(inner, "show", _MODULE, "Show your account, or the profile of another user.")
    show.add_argument("user", nargs="?", help="username or id of the other user")
    show.add_argument("--json", action="store_true", help="print JSON")
    _add_login_commands(inner)
    _add_update_command(inner)
    change = add_command(
        inner, "change-email", _MODULE, "Change your address; links are mailed to confirm it."
    )
    change.add_argument("email")
    change = add_command(
        inner, "change-password", _MODULE, "Change your password, and end your other sessions."
    )
    change.add_argument(
        "--password-stdin", action="store_true", help="read the new password from stdin"
    )
    _add_link_commands(inner)
    add_mfa_commands(inner)
    delete = add_command(inner, "delete", _MODULE, "Delete your account for ever.")
    delete.add_argument("username", help="your own: so that nobody means another account")
    delete.add_argument("--dry-run", action="store_true", help="only say whether it could be")


def _add_login_commands(inner: Commands) -> None:
    text = "List the accounts that you have logged in to, the one chosen last first."
    listing = add_command(inner, "list", "accounts", text)
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    text = "Choose which of your accounts is used, but in folders that are used with another."
    switch = add_command(inner, "switch", "accounts", text)
    switch.add_argument("username")
    switch.add_argument("--server", default="", help="default: where you have such an account")


def _add_update_command(inner: Commands) -> None:
    update = add_command(inner, "update", _MODULE, "Change your name, picture or preferences.")
    update.add_argument("--name", help="to show to people")
    update.add_argument("--avatar-url", metavar="URL", help="address of a picture; empty: none")
    update.add_argument(
        "--set",
        action="append",
        default=[],
        type=parse_pair,
        metavar="KEY=VALUE",
        help="set a preference",
    )
    update.add_argument(
        "--unset", action="append", default=[], metavar="KEY", help="remove a preference"
    )


def _add_link_commands(inner: Commands) -> None:
    """Add the commands that need no login."""
    verify = add_command(
        inner,
        "verify",
        _MODULE,
        "Verify an address by a mailed token; without one, have it mailed.",
    )
    verify.add_argument("token", nargs="?", help="what follows the last slash of the mailed link")
    verify.add_argument(
        "-u", "--username", help="whose mail is sent again; default: that of the login"
    )
    reset = add_command(
        inner, "reset-password", _MODULE, "Have a link mailed, and set a password with its token."
    )
    reset.add_argument("username", nargs="?", help="or e-mail address; default: that of the login")
    reset.add_argument("--token", help="what follows the last slash of the mailed link")
    reset.add_argument(
        "--password-stdin", action="store_true", help="read the new password from stdin"
    )
    for command in (verify, reset):
        command.add_argument("--server", default="", help="default: that of the login")
