r"""The graph beside `dits log --graph`: which commit is a parent of which."""

from __future__ import annotations

import random

import pytest

from dits_client.cli.commit_graph import CommitGraph

STRAIGHT = """\
* c
* b
* a"""
MERGE = r"""
* m
|\
| * b
* | a
|/
* r""".strip("\n")
OCTOPUS = r"""
* m
|\
| |\
| | * c
| * | b
| |/
* | a
|/
* r""".strip("\n")
TWO_ROOTS = r"""
* m
|\
* | a
 /
* b""".strip("\n")
FAR = r"""
* x
| * y
| | * z
|_|/
* | r
 /
* s""".strip("\n")


def draw(*history: str) -> str:
    """The lines for commits, each named before its parents."""
    graph, lines = CommitGraph(), []
    for commit, *parents in map(str.split, history):
        node, below = graph.add(commit, parents)
        lines += [node + commit, *below]
    return "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("history", "wanted"),
    [
        ("c b,b a,a", STRAIGHT),
        ("m a b,b r,a r,r", MERGE),
        ("m a b c,c r,b r,a r,r", OCTOPUS),
        ("m a b,a,b", TWO_ROOTS),
        ("x r,y s,z r,r,s", FAR),
    ],
)
def test_it_is_drawn(history: str, wanted: str) -> None:
    assert draw(*history.split(",")) == wanted


@pytest.mark.parametrize("seed", range(50))
def test_every_commit_stands_once_and_lines_end(seed: int) -> None:
    choose = random.Random(seed)
    names = [f"c{number}" for number in range(40)]
    parents = {
        name: choose.sample(names[at + 1 :], min(choose.choice((0, 1, 1, 1, 2, 3)), 39 - at))
        for at, name in enumerate(names)
    }
    graph = CommitGraph()
    for name in names:
        node, below = graph.add(name, parents[name])
        assert node.count("*") == 1
        assert len(below) <= 50
    # Nothing is left that leads to a commit.
    assert graph.add("last", []) == ("* ", [])
