"""The parser of one line has the arguments of its command alone, as the whole parser has them."""

from __future__ import annotations

import pytest

from dits_client.cli.grammar import find_commands, iterate_commands
from dits_client.cli.parser import make_parser

WHOLE = make_parser()


@pytest.mark.parametrize("name", sorted(find_commands(WHOLE)))
def test_a_command_is_as_in_the_whole(name: str) -> None:
    parser = make_parser([name, "--help"])
    found, wanted = (
        {
            path: command.format_help()
            for path, command in iterate_commands(find_commands(each)[name])
        }
        for each in (parser, WHOLE)
    )
    assert found == wanted
    assert parser.format_help() == WHOLE.format_help()


@pytest.mark.parametrize("line", [[], ["--help"], ["nothing"], ["-x", "push"], ["--", "jobs", "x"]])
def test_a_line_that_names_none_is_told_the_same(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for parser in (make_parser(line), WHOLE):
        with pytest.raises(SystemExit) as caught:
            parser.parse_args(line)
        told.append((caught.value.code, capsys.readouterr()))
    assert told[0] == told[1]
