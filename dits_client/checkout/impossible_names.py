"""Names that a commit has and the disk of the folder cannot store, or not beside each other."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from dits.repo.v1.manifest_pb2 import Entry

from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError
from dits_client.platform import Platform
from dits_client.terminal import escape_text, quote_text
from dits_client.workspace.local_directory import OWN_DIRECTORY
from shared.formats.portable_names import find_name_problem, fold_name

# The most names that a sentence lists.
LISTED = 20
_NO_LINKS = "and this account may not make links: Windows allows it in its Developer Mode"
# What NTFS calls `.dits` for programs that know names of eight letters alone.
_SHORT_NAME = re.compile(r"dits~[0-9]|di[0-9a-f]{4}~[0-9]", re.IGNORECASE)
# What HFS+ passes over in names.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
# Not in a target on Windows: its own slashes, drives, and what no name can have.
_TARGET = re.compile(r'[\\:*?"<>|\x00-\x1f]')


def check_names(
    platform: Platform,
    written: Mapping[str, Entry],
    staying: Iterable[str],
    can_write_links: Callable[[], bool] = lambda: True,
) -> None:
    """Raise ClientError, before anything is written, for paths and links that the disk cannot have."""
    found = list[str]()
    links = {path: x.symlink.target for path, x in written.items() if x.HasField("symlink")}
    if links and not can_write_links():
        found += [f"{quote_text(path)} is a link, {_NO_LINKS}" for path in links]
    if platform.reserves_names:
        found += _find_reserved(written)
        found += _find_targets(links)
    if platform.folds_case:
        found += _find_hidden(written)
        found += _find_twins(written, staying)
    if found:
        # A folder is found with each file in it.
        found = sorted(set(found))
        listed = "".join(f"\n  {escape_text(sentence)}" for sentence in found[:LISTED])
        more = f"\n  and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise ClientError(
            "this disk cannot store what the commit has (rename it elsewhere, or leave it out: "
            f"`dits clone --only`, `dits exclude`):{listed}{more}"
        )


def _find_reserved(written: Iterable[str]) -> Iterator[str]:
    known = set[str]()
    for path in written:
        for place in (path, *iterate_parents(path)):
            if place in known:
                break
            known.add(place)
            name = place.rpartition("/")[2]
            if problem := find_name_problem(name) or _find_short_name(name):
                yield f"{quote_text(place)} {problem}"


def _find_short_name(name: str) -> str:
    """Return why a name may not be stored that Windows could take for the client's directory."""
    return "may be another name for `.dits` on Windows" if _SHORT_NAME.fullmatch(name) else ""


def _find_hidden(written: Iterable[str]) -> Iterator[str]:
    """Yield sentences about paths that some disks of macOS take for the client's directory."""
    for path in written:
        names = _IGNORED.sub("", path).lower().split("/")
        if not path.isascii() and OWN_DIRECTORY in names:
            yield f"{quote_text(path)} may be another name for `{OWN_DIRECTORY}` on macOS"


def _find_targets(links: Mapping[str, str]) -> Iterator[str]:
    """Yield sentences about links whose targets would be others when they are read again."""
    for path, target in links.items():
        if _TARGET.search(target):
            yield f"{quote_text(path)} is a link to {quote_text(target)}, which Windows cannot store"


def _find_twins(written: Iterable[str], staying: Iterable[str]) -> Iterator[str]:
    spelled: dict[str, str] = {}
    for paths, is_new in ((staying, False), (written, True)):
        for path in paths:
            for place in (path, *iterate_parents(path)):
                other = spelled.setdefault(fold_name(place), place)
                if is_new and other != place:
                    twins = f"{quote_text(place)} differs from {quote_text(other)}"
                    yield f"{twins} by the case of letters alone"
