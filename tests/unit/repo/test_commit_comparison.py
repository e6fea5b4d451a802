"""Marks of a walk down two histories, against sets of all ancestors."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.repo.history.commit_comparison import CommitMarks
from services.repo.history.walk import WalkedCommit, Window

# For each commit how far its parents are behind it.
GRAPHS = st.lists(st.lists(st.integers(1, 6), max_size=4), min_size=2, max_size=25)


class Graph:
    """Commits with numbers for names."""

    def __init__(self, steps: Sequence[Sequence[int]]) -> None:
        self.parents = [
            sorted({number - step for step in behind if step <= number})
            for number, behind in enumerate(steps)
        ]
        self.generations: list[int] = []
        for parents in self.parents:
            self.generations.append(max((self.generations[p] + 1 for p in parents), default=0))

    def reach(self, commit: int) -> set[int]:
        """A commit and its ancestors."""
        return {commit}.union(*(self.reach(parent) for parent in self.parents[commit]))

    def read_window(self, frontier: set[int], generations: int) -> Window:
        """What a walk reads."""
        floor = max(self.generations[commit] for commit in frontier) - generations
        reached = set().union(*map(self.reach, frontier))
        inside = [commit for commit in reached if self.generations[commit] > floor]
        inside.sort(key=lambda commit: (-self.generations[commit], commit))
        return Window([self._make(commit) for commit in inside], {})

    def _make(self, commit: int) -> WalkedCommit:
        parents = [str(parent) for parent in self.parents[commit]]
        return WalkedCommit(str(commit), parents, "", self.generations[commit], None, 0, True, 0)


@given(GRAPHS, st.data(), st.integers(1, 5))
def test_bases_and_counts_are_those_of_the_sets(
    steps: list[list[int]], data: st.DataObject, generations: int
) -> None:
    graph = Graph(steps)
    base, head = (data.draw(st.integers(0, len(steps) - 1)) for _ in range(2))
    marks = CommitMarks(str(base), str(head))
    while not marks.is_done():
        marks.advance(graph.read_window(set(map(int, marks.waiting)), generations))
    of_base, of_head = graph.reach(base), graph.reach(head)
    common = of_base & of_head
    best = common - {c for other in common for c in graph.reach(other) if c != other}
    assert set(map(int, marks.found.merge_bases)) == best
    assert len(marks.found.merge_bases) == len(best)
    assert (marks.found.ahead, marks.found.behind) == (
        len(of_head - of_base),
        len(of_base - of_head),
    )
    assert marks.found.is_ancestor == (base in of_head)
