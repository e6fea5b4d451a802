"""The lines beside a list of commits that show which is a parent of which. Pure: hashes in, lines out."""

from collections.abc import Sequence


class CommitGraph:
    r"""Draws a graph from commits, children before their parents.

    Each column leads down to one commit:

        *   the merge
        |\
        | * its second parent
        * | its first parent
        |/
        *   where both begin
    """

    def __init__(self) -> None:
        # The commit that each column leads to.
        self._columns: list[str] = []

    def add(self, commit: str, parents: Sequence[str]) -> tuple[str, list[str]]:
        """Return what stands left of a commit, and the lines below it."""
        columns = self._columns
        if commit not in columns:
            columns.append(commit)
        at = columns.index(commit)
        node = "".join("* " if column == at else "| " for column in range(len(columns)))
        return node, self._lead_on(at, list(dict.fromkeys(parents)))

    def _lead_on(self, at: int, parents: list[str]) -> list[str]:
        """Let a column lead to the parents of its commit."""
        columns, lines = self._columns, []
        right = len(columns) - at - 1
        if not parents:
            lines += ["| " * at + " /" * right] * bool(right)
        for more in range(len(parents) - 1):
            lines.append("| " * (at + more) + "|\\" + " \\" * right)
        columns[at : at + 1] = parents
        while (pair := self._find_equal()) is not None:
            left, other = pair
            right = len(columns) - other - 1
            lines.append("| " * left + "|" + "_|" * (other - left - 1) + "/" + " /" * right)
            del columns[other]
        return lines

    def _find_equal(self) -> tuple[int, int] | None:
        """Return the first two columns that lead to the same commit."""
        first: dict[str, int] = {}
        for at, commit in enumerate(self._columns):
            if first.setdefault(commit, at) != at:
                return first[commit], at
        return None
