"""The arguments of `dits webhook`."""

from argparse import ArgumentParser

from dits_client.cli.arguments import Commands, add_command, parse_count, parse_duration


def add_webhook_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Send events of a repository or organisation to other programs."
    group = commands.add_parser("webhook", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    create = add_command(inner, "create", "webhook", "Create a webhook.")
    create.add_argument("url", help="https://…")
    create.add_argument("--inactive", action="store_true", help="send nothing yet")
    update = add_command(inner, "update", "webhook", "Change a webhook, or switch it on or off.")
    update.add_argument("--url")
    active = update.add_mutually_exclusive_group()
    active.add_argument("--on", dest="active", action="store_true", default=None)
    active.add_argument("--off", dest="active", action="store_false", default=None)
    rotate = add_command(inner, "rotate", "webhook", "Give a webhook a new secret.")
    text = "how long the old one stays valid; default 1d"
    rotate.add_argument("--overlap", type=parse_duration, help=text)
    deliveries = add_command(inner, "deliveries", "webhook", "List what was sent, newest first.")
    deliveries.add_argument("-n", "--limit", type=parse_count, default=20, help="default: 20")
    delivery = add_command(inner, "delivery", "webhook", "Show a delivery and its answers.")
    redeliver = add_command(inner, "redeliver", "webhook", "Send the event of a delivery again.")
    listing = add_command(inner, "list", "webhook", "List webhooks.")
    of_webhook = [
        update,
        rotate,
        deliveries,
        add_command(inner, "show", "webhook", "Show a webhook."),
        add_command(inner, "delete", "webhook", "Delete a webhook and its deliveries."),
        add_command(inner, "ping", "webhook", "Send a ping, and show the answer."),
    ]
    for command in of_webhook:
        command.add_argument("id", help="id of the webhook")
    for command in (delivery, redeliver):
        command.add_argument("id", help="id of the delivery")
    for command in (create, update):
        text = "push, lock.*, …; may be repeated" + ("; default: all" if command is create else "")
        command.add_argument("--event", action="append", metavar="PATTERN", help=text)
    for command in (create, rotate):
        command.add_argument("--secret-stdin", action="store_true", help="read it from stdin")
    for command in (create, listing, delivery, redeliver, *of_webhook):
        _add_webhook_owner(command)


def _add_webhook_owner(command: ArgumentParser) -> None:
    owner = command.add_mutually_exclusive_group()
    owner.add_argument("--repository", help="default: the one that the folder follows")
    owner.add_argument("--organization", metavar="NAME", help="all repositories that it owns")
