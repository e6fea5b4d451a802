"""Ignore rules are those of Git: `git check-ignore` is the judge."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dits_client.content.paths import iterate_parents
from dits_client.content.scope import IGNORE_FILE
from dits_client.workspace.ignore import DirectoryRules, IgnoreRules
from dits_client.workspace.scan import scan_directory


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, own = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("git") / "own"
    subprocess.run(["git", "init", "-q", f"--separate-git-dir={own}", folder], check=True)
    return folder


def write_folder(
    repository: Path, texts: Mapping[str, str], files: set[str], folders: set[str]
) -> None:
    """Make files and folders; those of `texts` have rules for Git, and the same for dits."""
    for entry in repository.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != ".git":
            entry.unlink()
    for folder in sorted(folders):
        (repository / folder).mkdir()
    for file in files:
        (repository / file).touch()
    for folder, text in texts.items():
        for name in (".gitignore", IGNORE_FILE):
            (repository / folder / name).write_bytes(text.encode())


def ask_git(repository: Path, paths: set[str]) -> set[str]:
    """The paths that Git ignores."""
    command = ["git", "-C", str(repository), "check-ignore", "--no-index", "-z", "--stdin"]
    asked = "\0".join(paths).encode()
    done = subprocess.run(command, input=asked, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.decode().split("\0")) - {""}


def check(repository: Path, texts: Mapping[str, str], paths: list[str]) -> None:
    """Rules and scan agree with Git about paths, those of folders with a slash, and the folders above.

    `texts` has the rules by their folders; those of folders that are not there do not count.
    """
    folders = {path.rstrip("/") for path in paths if path.endswith("/")}
    folders |= {above for path in paths for above in iterate_parents(path.rstrip("/"))}
    files = set(paths) - folders - {path for path in paths if path.endswith("/")}
    texts = {folder: text for folder, text in texts.items() if folder in folders | {""}}
    write_folder(repository, texts, files, folders)
    rules = DirectoryRules(lambda folder: texts.get(folder, ""))
    ignored = {path for path in files if rules.cover(path)}
    ignored |= {path for path in folders if rules.cover(path, is_directory=True)}
    assert ignored == ask_git(repository, files | folders)
    scanned = {
        found.join_path(name)
        for found in scan_directory(repository)
        for name in found.names
        if name not in found.directories
    }
    # What cannot be stored is no matter of rules.
    storable = {path for path in files if "\\" not in path and path.isprintable()}
    assert scanned & storable == storable - ignored


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
        "b\n!a**", "b\n!**", "a**/*", "d/**/*", "d/e**/f", "d/?**/f", "[a-]", "[--a]", "***", "/***/a",
    ],
)  # fmt: skip
def test_rules_that_people_write(repository: Path, text: str) -> None:
    check(repository, {"": text}, PATHS)
    check(repository, {"d": text, "": "d/[ef]\n!e\n"}, [*PATHS, *(f"d/{path}" for path in PATHS)])


PIECES = st.sampled_from(
    ["a", "b", "ab", "d", "foo", ".c", "*", "**", "***", "?", "/", "/", "!", "\\", "[ab]", "[!a]", "[a-",
     "]", "[", " ", "#", "-", "[[:alpha:]]", "[^", "ü", "\t"]
)  # fmt: skip
LINES = st.lists(st.lists(PIECES, min_size=1, max_size=6).map("".join), min_size=1, max_size=5)
TEXTS = LINES.map("\n".join)
RULES = st.builds(
    lambda top, below: {**below, "": top},
    TEXTS,
    st.dictionaries(st.sampled_from(["a", "b", "d", "a/b", "d/a", "ü"]), TEXTS, max_size=4),
)
PARTS = st.sampled_from(["a", "b", "ab", "d", "foo.c", ".c", "ü", "aab", " ", "a ", "#", "-"])
TREES = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), min_size=4, max_size=12)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=RULES, paths=TREES)
def test_rules_of_all_kinds(repository: Path, texts: dict[str, str], paths: list[str]) -> None:
    check(repository, texts, [*paths[::2], *(f"{path}/" for path in paths[1::2])])


@pytest.mark.soak
@settings(
    max_examples=20_000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=RULES, paths=TREES)
def test_many_rules_of_all_kinds(repository: Path, texts: dict[str, str], paths: list[str]) -> None:
    check(repository, texts, [*paths[::2], *(f"{path}/" for path in paths[1::2])])


def test_rules_of_others_hold_up_nobody() -> None:
    rules = IgnoreRules("*a" * 60 + "b\n" + "**/a/" * 30 + "b\n")
    started = time.process_time()
    assert not rules.matches("a" * 1000, is_directory=False)
    assert not rules.matches("a/" * 500 + "c", is_directory=False)
    # An engine that tries all ways does not end.
    assert time.process_time() - started < 10
