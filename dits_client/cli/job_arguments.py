"""The arguments of `dits jobs`."""

from argparse import ArgumentParser

from dits_client.cli.arguments import Commands, add_command, parse_count

STATUSES = ("pending", "running", "completed", "failed", "cancelled")


def add_job_commands(commands: Commands) -> None:
    """Add the commands to those of `dits`."""
    text = "Show what the server does in the background; without a command, list your jobs."
    group = commands.add_parser("jobs", help=text, description=text)
    group.set_defaults(module="jobs", function="handle_list")
    _add_list_options(group)
    inner = group.add_subparsers(metavar="COMMAND")
    _add_list_options(add_command(inner, "list", "jobs", "List jobs, newest first."))
    for name, text in (
        ("show", "Show a job."),
        ("watch", "Print a job whenever it changes, until it ends; fails if it does."),
        ("cancel", "Cancel a job: one that runs ends where its work allows it."),
    ):
        command = add_command(inner, name, "jobs", text)
        command.add_argument("id", metavar="ID", help="as the list shows it")
        command.add_argument("--json", action="store_true", help="print it as JSON")
    text = "Begin the work of failed jobs anew; for operators."
    command = add_command(inner, "requeue", "jobs", text)
    command.add_argument(
        "ids", metavar="ID", nargs="+", help="as `dits jobs --status failed` shows it"
    )
    command.add_argument("--json", action="store_true", help="print the new jobs as JSON")
    for command in (group, *inner.choices.values()):
        command.add_argument(
            "--repository", default="", help="a repository that the jobs are about: owner/name"
        )


def _add_list_options(command: ArgumentParser) -> None:
    command.add_argument("--status", choices=STATUSES, help="only jobs of this status")
    command.add_argument(
        "--everybody", action="store_true", help="the jobs of everybody; for operators"
    )
    command.add_argument("-n", "--limit", type=parse_count, default=20, help="default: 20; 0 = all")
    command.add_argument("--json", action="store_true", help="print a line of JSON for each")
