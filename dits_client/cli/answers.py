"""What commands that print sentences print with --json: the answers that they record, one a line."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_answers: "list[Message | dict[str, Any]]" = []


def record(found: "Message | dict[str, Any]") -> None:
    """Note an answer of the command, for programs; people get the sentences that it prints."""
    _answers.append(found)


def print_answers(handle: Callable[[Namespace], None], arguments: Namespace) -> None:
    """Run a command; print what it recorded, or else its sentences, as JSON."""
    import io
    import json

    from dits_client.cli.table import print_json

    _answers.clear()
    with redirect_stdout(io.StringIO()) as told:
        handle(arguments)
    for found in _answers:
        if isinstance(found, dict):
            print(json.dumps(found))
        else:
            print_json([found])
    if not _answers and (text := told.getvalue().rstrip("\n")):
        print(json.dumps({"text": text}))


def print_answer(arguments: Namespace, answer: "Message | dict[str, Any]", text: str) -> None:
    """Print an answer as JSON, or a sentence, as the arguments of a command say that does so by itself."""
    if not arguments.json:
        print(text)
    elif isinstance(answer, dict):
        import json

        print(json.dumps(answer))
    else:
        from dits_client.cli.table import print_json

        print_json([answer])


def add_json_option(command: ArgumentParser) -> None:
    """Add the option to a command that does not print JSON by itself."""
    command.add_argument("--json", action="store_true", help="print what it came to as JSON")
    command.set_defaults(print_answers=True)
