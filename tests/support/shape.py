"""The shape of the code, as `make check` demands it: short modules and short functions.

Run as a program it names what is too long and fails.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 40


def find_long(path: Path) -> Iterator[str]:
    """Yields a line for a module, and for each of its functions, that is too long."""
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    if lines > MAX_MODULE_LINES:
        yield f"{path}: {lines} lines, at most {MAX_MODULE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"


def main() -> None:
    """Looks at every Python file that is not generated."""
    listing = subprocess.check_output(
        ["git", "ls-files", "*.py", ":!protos/gen"], cwd=ROOT, text=True
    )
    paths = [ROOT / name for name in listing.split()]
    long = [line for path in paths if path.exists() for line in find_long(path)]
    if not paths or long:
        sys.exit("\n".join(long) or "git lists no Python files")


if __name__ == "__main__":
    main()
