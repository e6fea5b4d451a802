"""Folders for benchmarks: copied, edited as people edit, and compared."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

EDITED = 20
INSERTED = 1024


def iterate_files(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder; symbolic links are not followed."""
    for place, directories, names in os.walk(folder):
        directories[:] = sorted(d for d in directories if d != ".dits")
        for name in sorted(names):
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def measure_folder(folder: Path) -> int:
    """Return the bytes of all regular files below a folder."""
    return sum(path.stat().st_size for path in iterate_files(folder))


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder with its modes, times and links."""

    def skipped(place: str, names: list[str]) -> set[str]:
        special = {n for n in names if not _ordinary(Path(place, n))}
        return special | {"__pycache__", ".dits"}.intersection(names)

    shutil.copytree(source, target, symlinks=True, ignore=skipped)


def _ordinary(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def edit_folder(folder: Path) -> None:
    """Make a second version: insertions, replaced and longer files, renamed folders, one file removed."""
    rng = random.Random(1)  # noqa: S311  the same edits every time
    ordered = sorted(iterate_files(folder), key=lambda path: (-path.stat().st_size, path))
    for path in ordered[:EDITED]:
        data = path.read_bytes()
        at = min(4096, len(data))
        path.write_bytes(data[:at] + rng.randbytes(INSERTED) + data[at:])
    rest = ordered[EDITED:]
    for path in rest[:10]:
        path.write_bytes(rng.randbytes(path.stat().st_size))
    for path in rest[10 : 10 + EDITED]:
        with path.open("ab") as file:
            file.write(rng.randbytes(INSERTED))
    for old in sorted(p for p in folder.iterdir() if p.is_dir() and p.name != ".dits")[:10]:
        old.rename(old.with_name(old.name + "-renamed"))
    if len(rest) > 40:
        rest[-1].unlink(missing_ok=True)


def compare_folders(one: Path, other: Path) -> list[str]:
    """Return the paths that differ in two folders: in kind, permission bits, bytes or link target."""
    left, right = _described(one), _described(other)
    different = [
        path
        for path in left.keys() & right.keys()
        if left[path] != right[path] or not _same_bytes(one / path, other / path)
    ]
    return sorted(left.keys() ^ right.keys()) + sorted(different)


def _described(folder: Path) -> dict[str, tuple[str, int, str]]:
    found = {}
    for place, directories, names in os.walk(folder):
        directories[:] = [d for d in directories if d != ".dits"]
        links = [d for d in directories if Path(place, d).is_symlink()]
        for name in (*names, *links):
            path = Path(place, name)
            mode = path.lstat().st_mode
            target = str(path.readlink()) if stat.S_ISLNK(mode) else ""
            bits = 0 if target else stat.S_IMODE(mode) & 0o777
            found[str(path.relative_to(folder))] = (stat.filemode(mode)[0], bits, target)
    return found


def _same_bytes(one: Path, other: Path) -> bool:
    if one.is_symlink():
        return True
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while block := left.read(1 << 20):
            if block != right.read(1 << 20):
                return False
    return True
