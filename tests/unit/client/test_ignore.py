"""Ignore rules are those of Git: `git check-ignore` is the judge."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dits_client.content.paths import iterate_parents
from dits_client.workspace.ignore import IgnoreRules


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


def ask_git(repository: Path, text: str, files: set[str], folders: set[str]) -> set[str]:
    """The paths that Git ignores."""
    for entry in repository.iterdir():
        if entry.is_dir() and entry.name != ".git":
            shutil.rmtree(entry)
    for folder in sorted(folders):
        (repository / folder).mkdir()
    (repository / ".gitignore").write_bytes(text.encode())
    command = ["git", "-C", str(repository), "check-ignore", "--no-index", "-z", "--stdin"]
    asked = "\0".join(files | folders).encode()
    done = subprocess.run(command, input=asked, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.decode().split("\0")) - {""}


def check(repository: Path, text: str, paths: list[str]) -> None:
    """The rules agree with Git about paths, those of folders with a slash, and the folders above."""
    folders = {path.rstrip("/") for path in paths if path.endswith("/")}
    folders |= {above for path in paths for above in iterate_parents(path.rstrip("/"))}
    files = set(paths) - folders - {path for path in paths if path.endswith("/")}
    rules = IgnoreRules(text)
    ignored = {path for path in files if rules.cover(path)}
    for path in folders:
        chain = [path, *iterate_parents(path)]
        ignored |= {path} if any(rules.matches(x, is_directory=True) for x in chain) else set()
    assert ignored == ask_git(repository, text, files, folders)


PATHS = [
    "a", "b", "ab", "abc", "a/b", "a/b/c", "b/a", "x/a/b", "x/y/z", "foo.c", "d/foo.c", "a/foo.c/",
    "Saved/x", "d/Saved/x", "Saved/", " a", "a ", "#a", "!a", "a\\b", "[", "]", "a-b", "ü", "d/ü/ö",
    "a*b", "a?", "d/", "d/e/", "d/e/f", "A", "1", "*", "**", "-", "d/.hidden", ".hidden/", "a\tb",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "**/Saved/", "/Saved", "Saved", "d/*\n!d/e", "d/**", "**/a", "a/**/c", "*\n!a\n!*/", "**", "/**",
        "*.c", "/*.c", "d/*.c", " a", "a ", "a\\ ", "a  \\ ", "\\#a", "#a", "\\!a", "!a", "*\n!a", "\\[",
        "[", "[]]", "[a", "[a-c]", "[!a-c]", "[^a]*", "[[:alpha:]]", "[[:digit:]-]", "[[:none:]]", "[\\]]",
        "a?", "ü", "?", "??", "[ü]", "a\\", "a\\b", "a\\\\b", "/", "//", "d//", "a**b", "x/**", "**/b/**",
        "a/\r\nb\r", "\ufeffa", "**/", "*/", "d/*/f", "!", "\\", "a[[:]b",
        "a**/*", "d/**/*", "d/e**/f", "d/?**/f", "[a-]", "[--a]", "***", "/***/a",
    ],
)  # fmt: skip
def test_rules_that_people_write(repository: Path, text: str) -> None:
    check(repository, text, PATHS)


PIECES = st.sampled_from(
    ["a", "b", "ab", "d", "foo", ".c", "*", "**", "***", "?", "/", "/", "!", "\\", "[ab]", "[!a]", "[a-",
     "]", "[", " ", "#", "-", "[[:alpha:]]", "[^", "ü", "\t"]
)  # fmt: skip
LINES = st.lists(st.lists(PIECES, min_size=1, max_size=6).map("".join), min_size=1, max_size=5)
PARTS = st.sampled_from(["a", "b", "ab", "d", "foo.c", ".c", "ü", "aab", " ", "a ", "#", "-"])
TREES = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), min_size=4, max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=LINES, paths=TREES)
def test_rules_of_all_kinds(repository: Path, lines: list[str], paths: list[str]) -> None:
    check(repository, "\n".join(lines), [*paths[::2], *(f"{path}/" for path in paths[1::2])])


@pytest.mark.soak
@settings(
    max_examples=20_000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lines=LINES, paths=TREES)
def test_many_rules_of_all_kinds(repository: Path, lines: list[str], paths: list[str]) -> None:
    check(repository, "\n".join(lines), [*paths[::2], *(f"{path}/" for path in paths[1::2])])


def test_rules_of_others_hold_up_nobody() -> None:
    rules = IgnoreRules("*a" * 60 + "b\n" + "**/a/" * 30 + "b\n")
    started = time.process_time()
    assert not rules.matches("a" * 1000, is_directory=False)
    assert not rules.matches("a/" * 500 + "c", is_directory=False)
    # An engine that tries all ways does not end.
    assert time.process_time() - started < 10
