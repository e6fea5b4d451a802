"""Completion and man page, made from the parser."""

import os
import subprocess
from pathlib import Path

import pytest

from dits_client.cli.completion import find_places
from dits_client.cli.grammar import iterate_commands, list_actions
from dits_client.cli.main import main
from dits_client.cli.parser import make_parser

TRY = """
dits() { [ "$*" = "completion --branches" ] && printf "main\\nside\\n"; }
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _dits; echo "${COMPREPLY[*]}"; }
try dits sw
try dits branch ""
try dits switch si
try dits merge --all-o
try dits clone --revision ""
try dits lock ""
"""


# Whoever may push names branches, and others complete them.
HOSTILE = """
dits() { printf '%s\\n' '$(echo>made)' '`echo>made`' 'a;echo>made' '~' 'säge' '*'; }
COMP_WORDS=(dits switch ""); COMP_CWORD=2
_dits
printf '%s\\n' "${COMPREPLY[@]}"
eval "printf '%s\\n' ${COMPREPLY[*]}"
COMP_WORDS=(dits merge '\\$\\(e')
_dits
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_runs_no_name_of_a_branch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out + HOSTILE
    environ = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
    names = ["$(echo>made)", "`echo>made`", "a;echo>made", "~", "säge", "*"]
    quoted = [r"\$\(echo\>made\)", r"\`echo\>made\`", r"a\;echo\>made", r"\~", "säge", r"\*"]
    assert done.stdout.splitlines() == [*quoted, *names, quoted[0]]


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    done = subprocess.run(["bash", "-c", script + TRY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "switch", "list create rename delete", "side", "--all-others", "main side", "",
    ]  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_know_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for words in find_places(make_parser()):
        assert f'"{words}"' in script


def test_what_completion_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == main(["completion", "zsh", "--branches"]) == 2


def test_the_man_page_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    assert page.isascii()
    sections = page.replace("\\-", "-").split(".SS ")
    for path, command in iterate_commands(make_parser()):
        words = " ".join(("dits", *path))
        section = next(
            text for text in sections if f"{text} ".startswith((f"{words}\n", f"{words} "))
        )
        for action in list_actions(command):
            options = ", ".join(action.option_strings)
            assert f"\n.B {options}" in section or action.dest == "help", words
    assert ".B DITS_AUTH, DITS_REPO, DITS_CHUNK, DITS_LOCK\nhost:port of a service" in page
    assert "\n.B 3\ndone, except for" in page
    assert ".B \\-\\-discard\\-protection\nalso where you have changes" in page
    # No text is taken for a request.
    known = (".TH", ".SH", ".SS", ".TP", ".B ", ".I ", ".br")
    assert all(line.startswith(known) for line in page.splitlines() if line.startswith((".", "'")))


def test_a_usage_that_is_written_by_hand_names_every_option() -> None:
    for path, parser in iterate_commands(make_parser()):
        usage = parser.format_usage()
        for action in parser._get_optional_actions():
            assert any(name in usage for name in action.option_strings), path


def test_a_clone_names_its_paths_last(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["clone", "--only", "shots", "ada/film"])
    assert "repository [folder] [--only PATH" in capsys.readouterr().err
