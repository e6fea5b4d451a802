"""The arguments of `dits completion`, `doctor` and `man`, and `dits --version`."""

from argparse import Action, ArgumentParser

from dits_client.cli.arguments import Commands, add_command


def add_help_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "Print the script with which a shell completes lines."
    completion = add_command(commands, "completion", "completion", text)
    completion.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish"))
    completion.add_argument(
        "--branches", action="store_true", help="print the branches of the folder's repository"
    )
    text = "Look for what could be wrong: server, login, clock, folder, disk; and say what helps."
    doctor = add_command(commands, "doctor", "doctor", text)
    doctor.add_argument("--json", action="store_true", help="print a line of JSON for each finding")
    add_command(commands, "man", "man", "Print the man page: `dits man | man -l -`.")


class _ShowVersion(Action):
    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        # It reads the files of the package, which no other command has to wait for.
        from dits_client.version import describe_version

        print(describe_version())
        parser.exit()


def add_version_option(parser: ArgumentParser) -> None:
    """Add the option that prints the version and ends the command."""
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version")
