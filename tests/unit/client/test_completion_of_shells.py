"""zsh and fish complete what bash does, where they are installed, and run no name of a branch or file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dits_client.cli.main import main

HOSTILE = [
    "$(touch made)",
    "`touch made`",
    "a;touch made",
    "~x",
    "säge",
    "it's",
    "two words",
    '"q"',
    "a:b",
]
# What is typed before the completion, and each line then.
ZSH_QUOTED = {
    "dits sw": "dits switch ",
    "dits branch cr": "dits branch create ",
    "dits merge --all-o": "dits merge --all-others ",
    r"dits switch \$": r"dits switch \$\(touch\ made\) ",
    r"dits switch \`": r"dits switch \`touch\ made\` ",
    r"dits switch a\;": r"dits switch a\;touch\ made ",
    r"dits clone --revision it": r"dits clone --revision it\'s ",
    "dits switch two": r"dits switch two\ words ",
    "dits switch '\"": "dits switch '\"q\"' ",
    r"dits lock x\$": r"dits lock x\$\(touch\ made\) ",
}
ZSH = r"""
zmodload zsh/zpty
zpty t zsh -f -i
zpty -w t 'unsetopt zle_bracketed_paste; fpath=("$PWD" $fpath); autoload -Uz compinit; compinit -u -D'
zpty -w t 'show() { zle complete-word; print -r -- "<<$BUFFER>>"; BUFFER=; zle -I }; zle -N show'
zpty -w t "bindkey '^T' show; cd folder; print 're''ady'"
zpty -r t out '*ready*'
for line in "$@"; do
  zpty -w -n t "$line"$'\x14'
  zpty -r t out '*<<*>>*'
  out=${out##*<<}
  print -r -- "${out%%>>*}"
done
zpty -d t
"""


@pytest.fixture
def environ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Of a shell that finds a `dits` which prints hostile names, and a folder with a hostile file."""
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        (tmp_path / ("_dits" if shell == "zsh" else "dits.fish")).write_text(
            capsys.readouterr().out
        )
    (tmp_path / "bin").mkdir()
    dits = tmp_path / "bin" / "dits"
    (tmp_path / "names").write_text("".join(f"{name}\n" for name in HOSTILE))
    dits.write_text(f"#!/bin/sh\n[ \"$*\" = 'completion --branches' ] && cat '{tmp_path}/names'\n")
    dits.chmod(0o755)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x$(touch made)").touch()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path), "TERM": "dumb"}


def find_made(tmp_path: Path) -> list[Path]:
    return list(tmp_path.rglob("made"))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed here")
def test_zsh(tmp_path: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH, "zsh", *ZSH_QUOTED],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(zip(ZSH_QUOTED, done.stdout.splitlines(), strict=True)) == ZSH_QUOTED
    assert find_made(tmp_path) == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed here")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dits sw", ["switch"]),
        ("dits branch ", ["create", "delete", "list", "rename"]),
        ("dits merge --all-o", ["--all-others"]),
        ("dits switch ", HOSTILE),
        ("dits clone --revision ", HOSTILE),
        (r"dits switch \$", ["$(touch made)"]),
        (r"dits lock x", ["x$(touch made)"]),
    ],
)
def test_fish(tmp_path: Path, environ: dict[str, str], line: str, offered: list[str]) -> None:
    done = subprocess.run(
        ["fish", "--no-config", "-c", "source ../dits.fish; complete -C $argv[1]", line],
        cwd=tmp_path / "folder",
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [each.partition("\t")[0] for each in done.stdout.splitlines()]
    if line == "dits switch ":
        found = [each for each in found if not each.startswith("x")]
    assert sorted(found) == sorted(offered)
    assert find_made(tmp_path) == []
