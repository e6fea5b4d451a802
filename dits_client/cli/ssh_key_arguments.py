"""The arguments of `dits ssh-key`."""

from dits_client.cli.arguments import Commands, add_command


def add_ssh_key_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Manage the SSH keys that log you in and sign your commits."
    group = commands.add_parser("ssh-key", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    add = add_command(inner, "add", "ssh_key", "Add a key; asks for your password.")
    add.add_argument(
        "file", nargs="?", help="a key file; default: the agent's first key, or ~/.ssh/id_…"
    )
    add.add_argument("--name", help="default: the comment in the file")
    listing = add_command(inner, "list", "ssh_key", "List your keys.")
    listing.add_argument("--json", action="store_true", help="print a line of JSON for each")
    remove = add_command(inner, "remove", "ssh_key", "Delete a key; asks for your password.")
    remove.add_argument("key", help="its name, fingerprint or id")
