"""The arguments of `dits gc`, `verify`, `regions` and `storage`."""

from dits_client.cli.arguments import Commands, add_command, parse_count

KINDS = (
    "collect_garbage",
    "compact_packs",
    "scrub_chunks",
    "check_inventory",
    "apply_lifecycle",
    "replicate_chunks",
    "check_placement",
)


def add_maintenance_commands(commands: Commands) -> None:
    """Add the commands to those of `dits`."""
    _add_gc_commands(commands)
    text = "Read stored chunks and verify them, or list those that are lost; for operators."
    verify = add_command(commands, "verify", "maintenance", text)
    what = verify.add_mutually_exclusive_group()
    what.add_argument(
        "--everything",
        action="store_true",
        help="all chunks, and not only those that were not verified for long",
    )
    what.add_argument("--lost", action="store_true", help="list the lost chunks")
    text = "with --lost: a repository that you may write to"
    verify.add_argument("--repository", default="", metavar="OWNER/NAME", help=text)

    _add_regions_command(commands)
    text = "Show how much is stored by a repository; without one, in all, for operators."
    storage = add_command(commands, "storage", "maintenance", text)
    storage.add_argument("repository", nargs="?", default="", metavar="OWNER/NAME")
    for command in (verify, storage):
        command.add_argument("--json", action="store_true", help="print JSON")


def _add_gc_commands(commands: Commands) -> None:
    text = "Collect what nothing refers to; for operators."
    group = commands.add_parser("gc", help=text, description=text)
    inner = group.add_subparsers(metavar="COMMAND", required=True)
    plan = add_command(
        inner, "plan", "maintenance", "Tell what a collection would do, and change nothing."
    )
    run = add_command(inner, "run", "maintenance", "Begin a collection.")
    run.add_argument(
        "--confirm",
        type=parse_count,
        default=0,
        metavar="CHUNKS",
        help="delete up to so many chunks, even if they are implausibly many: see the plan",
    )
    text = "Begin to look for stored objects that nothing names, and for those that are missing."
    inventory = add_command(inner, "inventory", "maintenance", text)
    inventory.add_argument(
        "--confirm",
        type=parse_count,
        default=0,
        metavar="OBJECTS",
        help="delete up to so many of a store, even if they are implausibly many: see the runs",
    )
    text = "List what the maintenance has done, newest first."
    runs = add_command(inner, "runs", "maintenance", text)
    runs.add_argument("--kind", choices=KINDS, help="only runs of this kind")
    runs.add_argument("-n", "--limit", type=parse_count, default=20, help="default: 20; 0 = all")
    for command in (plan, runs):
        command.add_argument("--json", action="store_true", help="print JSON")


def _add_regions_command(commands: Commands) -> None:
    text = "Show in which regions a repository's chunks lie, and what of a commit is missing where."
    regions = add_command(commands, "regions", "regions", text)
    regions.add_argument("revision", nargs="?", default="", help="default: that of the folder")
    regions.add_argument("--repository", metavar="OWNER/NAME", help="default: that of the folder")
    regions.add_argument(
        "--replicate", action="store_true", help="look at once for what is to be copied"
    )
    regions.add_argument("--json", action="store_true", help="print JSON")
