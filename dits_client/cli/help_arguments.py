"""The arguments of `dits completion`, `doctor` and `man`."""

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
