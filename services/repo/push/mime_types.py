"""The types of files, by their names."""

from __future__ import annotations

import mimetypes
from functools import lru_cache
from posixpath import splitext

# Now, and not in the first push: this reads the system's files.
mimetypes.init()


def find_mime_type(name: str) -> str:
    """Returns the type by the ending, or by two if the last only says how it is packed: `.tar.gz`.

    It is empty if the ending says none.
    """
    ending = splitext(name)[1]
    if ending in mimetypes.encodings_map:
        return mimetypes.guess_type(name)[0] or ""
    return _type_of_ending(ending)


@lru_cache(maxsize=1000)
def _type_of_ending(ending: str) -> str:
    return mimetypes.guess_type(f"a{ending}")[0] or ""
