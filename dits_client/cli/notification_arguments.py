"""The arguments of `dits notifications`."""

from argparse import ArgumentParser, ArgumentTypeError

from dits_client.cli.arguments import Commands, parse_count
from dits_client.terminal import quote_text

_SWITCHES = {
    "mention": "mentions of you in commits",
    "push": "pushes to branches that you follow",
    "lock-expiry": "locks of yours that will end soon",
    "lock-loss": "locks of yours that others ended",
    "webhook-disabled": "webhooks that were switched off",
    "security": "what happens to your sessions and API tokens",
}


def add_notification_commands(commands: Commands) -> None:
    """Add the commands to those of `dits`."""
    text = "Show what concerns you; without a command, list it."
    group = commands.add_parser("notifications", help=text, description=text)
    group.set_defaults(module="notifications", function="handle_list")
    _add_list_options(group)
    inner = group.add_subparsers(metavar="COMMAND")
    _add_list_options(_add(inner, "list", "List notifications, newest first."))
    read = _add(inner, "read", "Mark notifications as read.")
    read.add_argument("ids", nargs="+", metavar="ID", help="as the list shows them, in full or not")
    _add(inner, "read-all", "Mark all notifications as read.")
    _add_preferences(inner)
    for name, text in (
        ("follow", "Be told of pushes of others to a branch."),
        ("unfollow", "Be told of them no more."),
    ):
        command = _add(inner, name, text)
        command.add_argument("branch")
        command.add_argument(
            "--repository", default="", help="default: the repository that the folder follows"
        )
    _add(inner, "following", "List the branches that you follow.")
    unsubscribe = _add(inner, "unsubscribe", "Turn off what a mail says that it turns off.")
    unsubscribe.add_argument("token", help="from the foot of the mail")


def _add(commands: Commands, name: str, text: str) -> ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    function = f"handle_{name.replace('-', '_')}"
    command.set_defaults(module="notifications", function=function)
    return command


def _add_list_options(command: ArgumentParser) -> None:
    command.add_argument("--unread", action="store_true", help="only unread ones")
    command.add_argument("-n", "--limit", type=parse_count, default=20, help="default: 20; 0 = all")
    command.add_argument("--json", action="store_true", help="print a line of JSON for each")
    command.add_argument(
        "--watch", action="store_true", help="print what comes, until it is interrupted"
    )


def _add_preferences(commands: Commands) -> None:
    command = _add(commands, "preferences", "Show or change what you get by e-mail.")
    for name, text in _SWITCHES.items():
        command.add_argument(
            f"--{name}", type=_parse_switch, metavar="on|off", help=f"mail at once: {text}"
        )
    command.add_argument(
        "--digest",
        choices=("never", "daily", "weekly"),
        help="how often all that is unread comes in one mail",
    )


def _parse_switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ArgumentTypeError(f"{quote_text(text)} is neither on nor off")
    return text == "on"
