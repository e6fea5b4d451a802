"""Patterns of paths: what they match, and what is no pattern."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shared.formats.canonical import FormatError
from shared.formats.path_patterns import PathPatterns


@pytest.mark.parametrize(
    ("patterns", "inside", "outside"),
    [
        (["*.psd"], ["a.psd", "x/y/a.psd", "a.psd/inside"], ["a.psdx", "psd"]),
        (["/doc/"], ["doc/x", "doc/x/y"], ["doc", "x/doc/y"]),
        (["a/**/b"], ["a/b", "a/x/y/b"], ["x/a/b"]),
        (["[a-c]?"], ["ax", "q/cé"], ["d1", "a/b"]),
        (["*.psd", "!sketch/*.psd"], ["a.psd"], ["sketch/a.psd"]),
        (["!x", "x"], ["x"], ["y"]),
        (["cafe\u0301/"], ["caf\u00e9/x"], ["cafe/x"]),
        ([], [], ["x"]),
    ],
)
def test_what_patterns_match(patterns: list[str], inside: list[str], outside: list[str]) -> None:
    parsed = PathPatterns.parse(patterns)
    assert [path for path in inside + outside if parsed.matches(path)] == inside


@pytest.mark.parametrize(
    "pattern",
    ["", " ", "# c", "!", "[", "a\\", "/", "[[:foo:]]", "[z-a]", "a\nb", "a\u202eb", "a" * 257],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(FormatError) as failure:
        PathPatterns.parse(["x", pattern])
    assert failure.value.field == "patterns"


def test_patterns_are_bounded() -> None:
    assert PathPatterns.parse([f"*.e{n}" for n in range(100)]).matches("x/a.e99")
    assert not PathPatterns.parse(["*?" * 120 + "b"]).matches("a" * 1024)
    with pytest.raises(FormatError):
        PathPatterns.parse(["x"] * 101)


@pytest.mark.parametrize(
    "pattern", ["a*", "/a", "b/", "a/b", "**/b", "a/**", "a/**/b", "?", "*/b", "[!a]", "a.*", "*.b"]
)
def test_one_pattern_matches_as_git_has_it(tmp_path: Path, pattern: str) -> None:
    paths = [
        "a",
        "b",
        "c",
        "ab",
        "a.b",
        "a/b",
        "b/a",
        "a/c/b",
        "c/a/b",
        "b/c/a",
        "a/b/c",
        "c/b.b/a",
    ]
    (tmp_path / "exclude").write_text(f"{pattern}\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    option = f"core.excludesFile={tmp_path}/exclude"
    done = subprocess.run(
        ["git", "-C", str(tmp_path), "-c", option, "check-ignore", "--no-index", "--stdin"],
        input="\n".join(paths),
        text=True,
        capture_output=True,
        check=False,
    )
    parsed = PathPatterns.parse([pattern])
    assert done.stdout.split() == [path for path in paths if parsed.matches(path)]
