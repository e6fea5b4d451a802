"""The arguments of `dits lock`, `steal`, `unlock`, `renew` and `locks`."""

from dits_client.cli.arguments import Commands, add_command, parse_count, parse_duration


def add_lock_commands(commands: Commands) -> None:
    """Add the commands."""
    lock = add_command(commands, "lock", "locks", "Lock files, or folders with everything in them.")
    text = "Take over locks of other holders; for administrators."
    steal = add_command(commands, "steal", "locks", text)
    for command in (lock, steal):
        command.add_argument("paths", nargs="+", metavar="PATH")
        lock_type = command.add_mutually_exclusive_group()
        lock_type.add_argument(
            "--shared", action="store_true", help="other people may hold one too"
        )
        lock_type.add_argument(
            "--advisory", action="store_true", help="prevents nothing, only informs others"
        )
        command.add_argument("--ttl", type=parse_duration, help="duration: 30m, 8h, 2d; default 8h")
        command.add_argument(
            "--release-on-push",
            action="store_true",
            help="release it when you push a change of the file",
        )
        command.add_argument(
            "--outdated", action="store_true", help="allow it if the branch has a newer version"
        )
    lock.add_argument("--reason", default="", help="shown to others")
    there = lock.add_mutually_exclusive_group()
    there.add_argument("--new", action="store_true", help="files that are still to come")
    there.add_argument(
        "--directory",
        action="store_true",
        help="folders that are still to come; a slash says so, too",
    )
    steal.add_argument("--reason", required=True, help="shown to those who lose their locks")
    steal.add_argument(
        "--password-stdin", action="store_true", help="read your password from stdin"
    )
    _add_others(commands)


def _add_others(commands: Commands) -> None:
    unlock = add_command(commands, "unlock", "locks", "Release your locks.")
    unlock.add_argument("paths", nargs="+", metavar="PATH")
    unlock.add_argument(
        "--discard-protection",
        action="store_true",
        help="also where you have changes that are not pushed",
    )
    renew = add_command(commands, "renew", "locks", "Make your locks last longer.")
    renew.add_argument("paths", nargs="*", metavar="PATH", help="default: all your locks")
    renew.add_argument("--ttl", type=parse_duration, help="from now: 30m, 8h, 2d; default 8h")
    locks = add_command(commands, "locks", "lock_list", "List the locks of the repository.")
    locks.add_argument("--mine", action="store_true", help="only your own locks")
    locks.add_argument("--json", action="store_true", help="print a line of JSON for each")
    locks.add_argument(
        "--watch", action="store_true", help="print what happens to locks, as it happens"
    )
    locks.add_argument(
        "-n", "--limit", type=parse_count, default=0, help="with --watch: end after so many events"
    )
    locks.add_argument(
        "--cursor", default="", help="with --watch: go on after the event that had this cursor"
    )
