"""Names that a commit has and the disk of the folder cannot store, or not beside each other."""

from collections.abc import Iterable, Iterator

from dits_client.content.paths import iterate_parents
from dits_client.errors import ClientError
from dits_client.platform import Platform
from dits_client.terminal import escape_text, quote_text
from shared.formats.portable_names import find_name_problem, fold_name

# The most names that a sentence lists.
LISTED = 20


def check_names(platform: Platform, written: Iterable[str], staying: Iterable[str]) -> None:
    """Raise ClientError, before anything is written, for paths that the disk cannot have."""
    written, found = list(written), list[str]()
    if platform.reserves_names:
        found += _find_reserved(written)
    if platform.folds_case:
        found += _find_twins(written, staying)
    if found:
        listed = "".join(f"\n  {escape_text(sentence)}" for sentence in sorted(found)[:LISTED])
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
            if problem := find_name_problem(place.rpartition("/")[2]):
                yield f"{quote_text(place)} {problem}"


def _find_twins(written: Iterable[str], staying: Iterable[str]) -> Iterator[str]:
    spelled: dict[str, str] = {}
    for paths, is_new in ((staying, False), (written, True)):
        for path in paths:
            for place in (path, *iterate_parents(path)):
                other = spelled.setdefault(fold_name(place), place)
                if is_new and other != place:
                    twins = f"{quote_text(place)} differs from {quote_text(other)}"
                    yield f"{twins} by the case of letters alone"
