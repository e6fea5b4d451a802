"""The arguments of `dits account mfa`."""

from dits_client.cli.arguments import Commands, add_command


def add_mfa_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Protect logins with codes of an authenticator."
    group = commands.add_parser("mfa", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    add_command(inner, "status", "mfa", "Show whether logins need a code.")
    add_command(inner, "enroll", "mfa", "Set up an authenticator: shows a QR code.")
    add_command(inner, "disable", "mfa", "Let the password alone open the account again.")
    text = "Make ten new recovery codes; the earlier ones are void."
    add_command(inner, "recovery-codes", "mfa", text)
