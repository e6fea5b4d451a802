"""A history of Git with all that trees and commits may have."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

# Mode and content of files by path.
Files = dict[str, tuple[str, bytes]]
START = 1_500_000_000
PEOPLE = [
    ("Ada Byron", "ada@example.org"), ("Åsa Ö", "åsa@example.com"), ("bob", ""), ("", "x@x.example"),
]  # fmt: skip
ZONES = ["+0000", "+0530", "-0330", "+1245", "-1100", "+1400"]
MESSAGES = ["", "\n", "one line", "title\n\nbody with ünïcödé\n", "  spaces kept \n\n\n"]
NAMES = [
    "plain.txt", "with space", " leading", "trailing ", "-dash", "'quoted'", '"double"', "ünï", "日本",
    "*star", "a:b", "#hash", "UPPER", "upper", ".hidden", "x" * 120, "😀", "tail.", "a%20b", "$(x)",
]  # fmt: skip
FOLDERS = ["", "d/", "d/deep er/", "Ü/", "z/y/x/w/"]


def make_varied_git(folder: Path, seed: int, count: int) -> None:
    """A bare repository of `count` commits: merges, tags, zones, deletions, renames, links, odd names."""
    rng = random.Random(seed)
    states: list[Files] = []
    stream: list[bytes] = []
    for number in range(count):
        parents = _choose_parents(rng, number)
        states.append(_change_files(rng, [states[parent] for parent in parents]))
        stream.append(_encode_commit(rng, number, parents, states[-1]))
        if rng.random() < 0.05:
            stream.append(_encode_tag(rng, number))
    stream.append(f"reset refs/heads/main\nfrom :{count}\n\n".encode())
    folder.mkdir()
    run_git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    command = ["git", "-C", str(folder), "fast-import", "--quiet", "--date-format=raw-permissive"]
    subprocess.run(command, input=b"".join(stream), check=True)


def run_git(folder: Path, *arguments: str) -> str:
    """What a command of Git prints; nothing where it finds nothing."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0 or not done.stderr, done.stderr
    return done.stdout.decode()


def _choose_parents(rng: random.Random, number: int) -> list[int]:
    """Mostly lines, some merges of up to four, some roots."""
    if not number or rng.random() < 0.01:
        return []
    recent = range(max(0, number - rng.choice([1, 1, 1, 4, 30])), number)
    return rng.sample(recent, min(rng.choice([1, 1, 1, 1, 2, 2, 4]), len(recent)))


def _change_files(rng: random.Random, before: list[Files]) -> Files:
    files: Files = dict(before[0]) if before else {}
    for other in before[1:]:
        for path, found in other.items():
            if rng.random() < 0.5:
                _put(files, path, found)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        path = rng.choice(FOLDERS) + rng.choice(NAMES)
        what = rng.random()
        if what < 0.2 and files:
            del files[rng.choice(sorted(files))]
        elif what < 0.35 and files:
            _put(files, path, files.pop(rng.choice(sorted(files))))
        elif what < 0.4:
            # A file where a folder was, or will be.
            _put(files, rng.choice(["d", "z/y"]), ("100644", b"in place of a folder"))
        elif what < 0.45:
            _put(files, path, ("120000", rng.choice([b"../ext", "Ü/ünï".encode(), b"d"])))
        else:
            mode = rng.choice(["100644", "100644", "100755"])
            content = b"" if rng.random() < 0.1 else f"{rng.randrange(40)}\n".encode()
            _put(files, path, (mode, content))
    return files


def _put(files: Files, path: str, found: tuple[str, bytes]) -> None:
    """Sets a path, in place of folders and files that prevent it."""
    for other in list(files):
        if other.startswith(f"{path}/") or path.startswith(f"{other}/"):
            del files[other]
    files[path] = found


def _encode_commit(rng: random.Random, number: int, parents: list[int], files: Files) -> bytes:
    """A commit as fast-import reads it."""
    message = rng.choice(MESSAGES).encode()
    parts = [
        f"commit refs/heads/c{number}\nmark :{number + 1}\n".encode(),
        *(f"{role} {_sign(rng, number)}\n".encode() for role in ("author", "committer")),
        b"data %d\n%s\n" % (len(message), message),
    ]
    for at, parent in enumerate(parents):
        parts.append(f"{'merge' if at else 'from'} :{parent + 1}\n".encode())
    parts.append(b"deleteall\n")
    for path, (mode, content) in files.items():
        parts.append(f"M {mode} inline {_quote(path)}\ndata {len(content)}\n".encode())
        parts.append(content + b"\n")
    return b"".join(parts)


def _encode_tag(rng: random.Random, number: int) -> bytes:
    if rng.random() < 0.5:
        return f"reset refs/tags/light{number}\nfrom :{number + 1}\n\n".encode()
    message = rng.choice(MESSAGES).encode()
    head = f"tag note{number}\nfrom :{number + 1}\ntagger {_sign(rng, number)}\n"
    return head.encode() + b"data %d\n%s\n" % (len(message), message)


def _sign(rng: random.Random, number: int) -> str:
    name, email = rng.choice(PEOPLE)
    moment = START + number * 60 + rng.randrange(-90, 90)
    return f"{name} <{email}> {moment} {rng.choice(ZONES)}".lstrip()


def _quote(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
