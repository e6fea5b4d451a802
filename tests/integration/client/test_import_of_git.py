"""A history of Git, imported through the client library: both tell the same of it."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from dits.repo.v1.commit_service_pb2 import (
    Commit,
    CompareCommitsRequest,
    ListCommitsRequest,
    RefUpdate,
)
from dits.repo.v1.manifest_pb2 import Entry
from dits.repo.v1.ref_service_pb2 import ListTagsRequest

from dits_client.content.manifest import parse_entries
from dits_client.errors import ClientError
from dits_client.push.history_writer import HistoryWriter
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.objects import Objects
from dits_client.workspace.trees import Trees
from tests.support.api import Api
from tests.support.client import Person
from tests.support.git_import import GitImport, parse_signer
from tests.support.varied_git import make_varied_git, run_git

SEED = 7


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        (SEED, 250),
        pytest.param(int(os.environ.get("SOAK_SEED", "1")), 4000, marks=pytest.mark.soak),
    ],
)
async def test_dits_tells_of_an_import_what_git_tells(
    api: Api, ada: Person, tmp_path: Path, seed: int, count: int
) -> None:
    repository = await api.repository(ada.account, "imported", portable_names=False)
    remote = RepositoryClient(ada.client, repository.id)
    git = GitImport(tmp_path / "git")

    def check() -> None:
        make_varied_git(git.folder, seed, count)
        with HistoryWriter(remote) as writer:
            git.run(writer)
        assert len(git.commits) == count
        check_commits(remote, git)
        check_tags(remote, git)
        check_trees(remote, git)
        check_comparisons(remote, git, random.Random(seed))
        check_paths(remote, git, random.Random(seed))

    await asyncio.to_thread(check)


def list_commits(remote: RepositoryClient, **fields: Any) -> Iterator[Commit]:
    request = ListCommitsRequest(repository=remote.name, page_size=1000, **fields)
    for page in remote.list_pages(remote.commits.ListCommits, request):
        yield from page.commits


def check_commits(remote: RepositoryClient, git: GitImport) -> None:
    """Authors, times, zones, parents and messages, of all that main reaches."""
    listed = {commit.hash: commit for commit in list_commits(remote, revision="main")}
    form = "--format=%H%n%P%nauthor %an <%ae> %ad%ncommitter %cn <%ce> %cd%n%B%x00"
    told = run_git(git.folder, "log", form, "--date=raw", "main").split("\0\n")[:-1]
    assert len(told) == len(listed) > 1
    for text in told:
        name, parents, author, committer, message = text.split("\n", 4)
        commit = listed[git.commits[name]]
        assert list(commit.parent_hashes) == [git.commits[parent] for parent in parents.split()]
        assert (commit.author, commit.committer) == (parse_signer(author), parse_signer(committer))
        # Git prints one line feed at the end, whatever there is.
        assert commit.message.rstrip("\n") == message.rstrip("\n")


def check_tags(remote: RepositoryClient, git: GitImport) -> None:
    request = ListTagsRequest(repository=remote.name, page_size=1000)
    tags = {t.name: t for p in remote.list_pages(remote.refs.ListTags, request) for t in p.tags}
    form = "--format=%(refname:short)%00%(objecttype)%00%(objectname)%00%(*objectname)%00%(tagger)"
    told = [line.split("\0") for line in run_git(git.folder, "tag", form).splitlines()]
    assert {line[1] for line in told} == {"tag", "commit"}
    assert len(told) == len(tags)
    for name, kind, target, inner, tagger in told:
        tag = tags[name]
        assert tag.head == git.commits[inner or target]
        assert tag.HasField("annotation") == (kind == "tag")
        if kind == "tag":
            assert tag.annotation.tagger == parse_signer(f"tagger {tagger}")


def check_trees(remote: RepositoryClient, git: GitImport) -> None:
    """Each tree as the server sends it, against ls-tree."""
    trees = Trees(Objects(), lambda: remote)
    known: dict[bytes, dict[str, tuple[str, bytes]]] = {}
    blobs = {
        inner: (entry.symlink.target.encode() or entry.file.hash)
        for (_, inner), entry in git.blobs.items()
    }
    for name, commit in git.commits.items():
        _, tree = trees.fetch_tree(commit, list(known)[::-1])
        told = {}
        for line in run_git(git.folder, "ls-tree", "-r", "-z", name).split("\0")[:-1]:
            head, _, path = line.partition("\t")
            mode, _, blob = head.split(" ")
            told[path] = (mode, blobs[blob])
        assert flatten(trees, tree, known) == told, name


def flatten(
    trees: Trees, tree: bytes, known: dict[bytes, dict[str, tuple[str, bytes]]]
) -> dict[str, tuple[str, bytes]]:
    """Mode and content, or target, of all files and links by path."""
    if tree not in known:
        found: dict[str, tuple[str, bytes]] = {}
        for name, entry in parse_entries(trees.load_manifest(tree)).items():
            if entry.HasField("directory"):
                inner = flatten(trees, entry.directory.manifest_hash, known)
                found |= {f"{name}/{path}": value for path, value in inner.items()}
            elif entry.HasField("symlink"):
                found[name] = ("120000", entry.symlink.target.encode())
            else:
                found[name] = (f"100{entry.file.mode:o}", entry.file.hash)
        known[tree] = found
    return known[tree]


def check_comparisons(remote: RepositoryClient, git: GitImport, rng: random.Random) -> None:
    """Merge bases, and how far heads are ahead and behind."""
    commits, crossed = list(git.commits), 0
    for _ in range(60):
        base, head = rng.sample(commits[-100:] if rng.random() < 0.7 else commits, 2)
        request = CompareCommitsRequest(
            repository=remote.name, base=git.commits[base], head=git.commits[head]
        )
        found = remote.call(remote.commits.CompareCommits, request)
        bases = run_git(git.folder, "merge-base", "--all", base, head).split()
        assert set(found.merge_bases) == {git.commits[name] for name in bases}
        counts = run_git(git.folder, "rev-list", "--left-right", "--count", f"{base}...{head}")
        assert f"{found.behind_count}\t{found.ahead_count}\n" == counts
        crossed += len(bases) > 1
    assert crossed


def check_paths(remote: RepositoryClient, git: GitImport, rng: random.Random) -> None:
    """The history of files and folders, against log -- path."""
    told = run_git(git.folder, "log", "--all", "--name-only", "--format=", "-z")
    paths = sorted(set(told.split("\0")) - {""})
    changed = 0
    for path in [*rng.sample(paths, 15), "d", "Ü", "z/y"]:
        listed = [commit.hash for commit in list_commits(remote, revision="main", path=path)]
        asked = f":(literal){path}"
        names = run_git(git.folder, "log", "--format=%H", "main", "--", asked).split()
        assert set(listed) == {git.commits[name] for name in names}, path
        assert len(listed) == len(names)
        changed += len(names)
    assert changed > 30


def branch(name: str, head: str, expected: str = "") -> RefUpdate:
    return RefUpdate(branch=name, new_head=head, expected_head=expected)


async def test_a_writer_pushes_what_refs_lead_to(api: Api, ada: Person, tmp_path: Path) -> None:
    repository = await api.repository(ada.account, "made")
    remote = RepositoryClient(ada.client, repository.id)
    content = os.urandom(3_000_000)
    (tmp_path / "large").write_bytes(content)
    who = parse_signer("author Ada <ada@example.org> 0 +0100")

    def make() -> None:
        with HistoryWriter(remote) as writer:
            large = writer.add_file(tmp_path / "large", 0o600)
            assert large.file.hash == blake3(content).digest()
            inner = writer.add_directory({"large": large, "link": writer.add_link("large")})
            first = writer.add_commit(writer.add_directory({"d": inner}), author=who, message="1")
            other = writer.add_commit(writer.add_directory({"e": large}), author=who)
            second = writer.add_commit(
                writer.add_directory({"d": inner, "f": writer.add_file(b"")}), [first], author=who
            )
            assert writer.push([branch("main", second)]).new_commit_count == 2
            # The one that no ref led to, and a merge.
            last = writer.add_commit(
                writer.add_directory({"d": inner}), [second, other], author=who
            )
            response = writer.push([branch("main", last, second), branch("other", other)])
            assert response.new_commit_count == 2
            for name, words in (("a/b", "has a slash"), ("", "is empty")):
                with pytest.raises(ClientError, match=words):
                    writer.add_directory({name: Entry()})
            with pytest.raises(ClientError, match="the commit cannot be made"):
                writer.add_commit(inner, [first, first], author=who)
            with pytest.raises(ClientError, match="cannot read"):
                writer.add_file(tmp_path / "nothing")

    await asyncio.to_thread(make)
    await ada.clone("ada/made", "copy")
    assert (ada.home / "copy/d/large").read_bytes() == content
    assert (ada.home / "copy/d/large").stat().st_mode & 0o777 == 0o600
